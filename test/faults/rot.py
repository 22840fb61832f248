"""Rot: a bit flips in a file of the store, whose times stay; no build gives wrong bytes."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from faults.kind import Outcome
from faults.scenarios import BUILD, DISKS, DOCKERFILE, EXPORT, WARM_BUILD, WARM_RECIPE
from faults.servers import registry

if TYPE_CHECKING:
    from pathlib import Path

    from faults.bench import Bench
    from faults.scenarios import Scenario

# What `cache verify` has a checksum of.
_CHECKED = ("blobs/", "segments/", "debs/pool/", "index.json")


class Rot:
    """A bit of the store is another one."""

    name = "rot"

    def run(self, bench: Bench) -> Outcome:
        """Flip a bit, then build and verify in a random order; then all is right again."""
        scenario = bench.chance.choice(
            (BUILD, WARM_BUILD, WARM_BUILD, DISKS, DOCKERFILE, WARM_RECIPE, EXPORT)
        )
        bench.begin(scenario)
        path = _chosen(bench)
        name = path.relative_to(bench.store).as_posix()
        rotten = _flip(bench, path)
        verify_first = bench.chance.random() < 0.5
        if verify_first:
            self._verify(bench, path, rotten)
        ended = bench.command(scenario)
        bench.judge(scenario, whole=ended.status == 0)
        if not verify_first:
            self._verify(bench, path, rotten)
        with registry(bench.material):
            if name in ("index.json", "oci-layout") or scenario is EXPORT:
                # The message gives this command; and an export fetches nothing.
                bench.run(("cache", "verify", "--repair"))
            # The first command may find the rot; the second has all that it needs.
            bench.command(_online(scenario))
            again = bench.command(_online(scenario), statuses={0})
            bench.judge(scenario, whole=again.status == 0)
            # What this command does not need may be rotten still.
            bench.run(("cache", "verify", "--repair"))
            bench.recover(_online(scenario))
        return _outcome(ended.status, verify_first=verify_first)

    def _verify(self, bench: Bench, path: Path, rotten: bytes) -> None:
        """Check that `cache verify` names a file that is rotten still."""
        name = path.relative_to(bench.store).as_posix()
        is_rotten = path.exists() and path.read_bytes() == rotten
        ended = bench.run(("cache", "verify"))
        if is_rotten and name.startswith(_CHECKED):
            if path.name not in ended.said and path.stem not in ended.said:
                bench.complain([f"cache verify does not name {name}: {ended.said[-200:]!r}"])
            # What is made again at need is removed, which is no problem that remains.
            if ended.status == 0 and path.exists():
                bench.complain([f"cache verify says that {name} is right"])


def _chosen(bench: Bench) -> Path:
    """Choose a file: first a part of the store, so that each gets its share."""
    parts: dict[str, list[Path]] = {}
    for path in sorted(p for p in bench.store.rglob("*") if p.is_file() and p.stat().st_size):
        name = path.relative_to(bench.store)
        parts.setdefault("/".join(name.parts[:2][: len(name.parts) - 1]), []).append(path)
    return bench.chance.choice(parts[bench.chance.choice(sorted(parts))])


def _flip(bench: Bench, path: Path) -> bytes:
    """Flip a bit, keeping the times of the file."""
    status, data = path.stat(), bytearray(path.read_bytes())
    at, bit = bench.chance.randrange(len(data)), bench.chance.randrange(8)
    data[at] ^= 1 << bit
    mode = path.stat().st_mode
    path.chmod(mode | 0o200)
    path.write_bytes(data)
    path.chmod(mode)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    name = path.relative_to(bench.store).as_posix()
    bench.note(f"bit {bit} of byte {at} of {len(data)} flips in {name}")
    return bytes(data)


def _online(scenario: Scenario) -> Scenario:
    """Return the command without --offline: what is missing can be fetched again."""
    words = tuple(w for w in scenario.words if w != "--offline")
    return replace(scenario, words=words)


def _outcome(status: int, *, verify_first: bool) -> Outcome:
    if status:
        return Outcome.REFUSED
    return Outcome.REPAIRED if verify_first else Outcome.RIGHT
