"""Full disks: a small filesystem, a limit on the size of files, errors of single system calls."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from faults import invariants
from faults.bench import injected
from faults.kind import Outcome
from faults.namespaces import small_disk
from faults.scenarios import LOCAL

if TYPE_CHECKING:
    from pathlib import Path

    from faults.bench import Bench
    from faults.processes import Ended
    from faults.scenarios import Scenario

# What the kernel may refuse on a disk that is full or broken; not `write`, for messages need it.
_CALLS = ("fsync", "renameat2", "rename", "mkdir", "copy_file_range", "fallocate", "ftruncate")
_ERRORS = ("ENOSPC", "EDQUOT", "EIO")
_ROOM = 1 << 30


class FullDisk:
    """There is no room for all that a command writes."""

    name = "full-disk"

    def run(self, bench: Bench) -> Outcome:
        """Run a command without room, then with room."""
        scenario = bench.chance.choice(LOCAL)
        bench.reference(scenario)
        bench.begin(scenario)
        way = bench.chance.choice((self._store, self._store, self._outputs, _file_size, _call))
        return way(bench, scenario)

    def _store(self, bench: Bench, scenario: Scenario) -> Outcome:
        return _on_small_disk(bench, scenario, bench.store)

    def _outputs(self, bench: Bench, scenario: Scenario) -> Outcome:
        return _on_small_disk(bench, scenario, bench.out)


def _on_small_disk(bench: Bench, scenario: Scenario, place: Path) -> Outcome:
    """Run a command with the store or the outputs on a small disk; `clean` works on a full one."""
    reference = bench.reference(scenario)
    is_store = place == bench.store
    growth = reference.store_growth if is_store else reference.out_growth
    used = sum(-(-p.lstat().st_size // 4096) * 4096 for p in place.rglob("*")) + 16_384
    size = used + int(max(growth, 16_384) * bench.chance.random())
    aside = bench.place / "more"
    aside.mkdir()
    place.rename(aside / place.name)
    place.mkdir()
    with small_disk(place, _ROOM) as disk:
        shutil.copytree(aside / place.name, disk.seen, dirs_exist_ok=True)
        disk.resize(size)
        bench.note(f"{place.name} on a disk of {size >> 10} KiB, {used >> 10} KiB used")
        ended = bench.command(scenario, before=disk.entry)
        store, out = (disk.seen, bench.out) if is_store else (bench.store, disk.seen)

        def judge(*, whole: bool) -> None:
            found = bench.result(store, out)
            bench.complain(invariants.of_result(found, reference.result, whole=whole))

        judge(whole=ended.status == 0)
        if is_store:
            bench.run(("cache", "clean"), before=disk.entry, statuses={0})
        disk.resize(_ROOM)
        after = bench.command(scenario, before=disk.entry, statuses={0})
        judge(whole=after.status == 0)
        bench.run(("cache", "verify"), before=disk.entry, statuses={0})
        bench.clean(store, disk.entry)
    return _outcome(ended)


def _file_size(bench: Bench, scenario: Scenario) -> Outcome:
    """Let no file become larger than a limit."""
    reference = bench.reference(scenario)
    limit = int(bench.chance.random() ** 2 * max(reference.store_growth, reference.out_growth, 1))
    bench.note(f"files have at most {limit} bytes")
    ended = bench.command(scenario, before=("prlimit", f"--fsize={limit}"))
    bench.judge(scenario, whole=ended.status == 0)
    bench.recover(scenario)
    return _outcome(ended)


def _call(bench: Bench, scenario: Scenario) -> Outcome:
    """Let a system call fail from its n-th call on, or once."""
    call, error = bench.chance.choice(_CALLS), bench.chance.choice(_ERRORS)
    nth = bench.chance.choice((1, 1, 2, 3, 5, 8))
    when = f"{nth}{bench.chance.choice(('', '+'))}"
    bench.note(f"{call} fails with {error} at {when}")
    ended = bench.command(scenario, before=injected(call, f"error={error}:when={when}"))
    bench.judge(scenario, whole=ended.status == 0)
    bench.recover(scenario)
    return _outcome(ended)


def _outcome(ended: Ended) -> Outcome:
    return Outcome.RIGHT if ended.status == 0 else Outcome.REFUSED
