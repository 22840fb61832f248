"""The lock of a recipe: exactly which packages it is made of, for each architecture.

`debs.lock` stands beside build.yml and is committed, so it is part of the package's tag.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from assembler.codes import packages
from assembler.debian.engine import Chosen, Snapshot
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import atomic_write

LOCK_FILE = "debs.lock"
_VERSION = 1
_LARGEST = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]*")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_/-]*\.deb")


@dataclass(frozen=True, slots=True)
class Lock:
    """What a recipe asked for, and what was chosen, by Debian's names of architectures."""

    suite: str
    # What the recipe asked for when the lock was made: another recipe needs another lock.
    wanted: Mapping[str, tuple[str, ...]]
    chosen: Mapping[str, tuple[Chosen, ...]] = field(default_factory=dict)
    # What the archives were; for people, and for whoever keeps snapshots of archives.
    archives: tuple[Snapshot, ...] = ()

    def same_packages(self, other: Lock) -> bool:
        """Tell whether both make the same images, whatever archives they were made of."""
        return replace(self, archives=()) == replace(other, archives=())


def read_lock(directory: Path) -> Lock | None:
    """Return the lock of a package, or nothing if it has none."""
    path = directory / LOCK_FILE
    if not path.exists():
        return None
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    try:
        return _parsed(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PackageError.of(
            packages.BAD_LOCK,
            f"{path} is not a lock as Dolmen writes it: {error}",
            f"renew it: dolmen pkg lock {directory}",
        ) from error


def write_lock(directory: Path, lock: Lock) -> Path:
    """Write the lock, each package on a line of its own, and return its path."""
    path = directory / LOCK_FILE
    lines = [
        "{",
        f' "version": {_VERSION},',
        f' "suite": {json.dumps(lock.suite)},',
        f' "wanted": {json.dumps({k: list(v) for k, v in sorted(lock.wanted.items())})},',
        ' "packages": {',
    ]
    blocks = []
    for architecture, chosen in sorted(lock.chosen.items()):
        rows = ",\n".join(f"   {json.dumps(_row(c))}" for c in chosen)
        blocks.append(f"  {json.dumps(architecture)}: [\n{rows}\n  ]")
    lines += [",\n".join(blocks), " }" + ("," if lock.archives else "")]
    if lock.archives:
        told_of = [f"  {json.dumps([a.suite, a.date, a.sha256])}" for a in lock.archives]
        lines += [' "archives": [', ",\n".join(told_of), " ]"]
    lines += ["}", ""]
    with atomic_write(path) as file:
        file.write("\n".join(lines).encode())
    return path


def _row(chosen: Chosen) -> list[str | int]:
    return [
        *(chosen.name, chosen.version, chosen.architecture),
        *(chosen.path, chosen.size, chosen.sha256),
    ]


def _parsed(data: Any) -> Lock:  # noqa: ANN401 - whatever the file holds
    if data["version"] != _VERSION:
        raise ValueError(f"its version is {data['version']!r}")
    return Lock(
        suite=_word(data["suite"]),
        wanted={_word(k): tuple(str(n) for n in v) for k, v in data["wanted"].items()},
        chosen={
            _word(arch): tuple(_chosen(row) for row in rows)
            for arch, rows in data["packages"].items()
        },
        archives=tuple(_snapshot(*row) for row in data.get("archives", ())),
    )


def _chosen(row: Sequence[Any]) -> Chosen:
    name, version, architecture, path, size, sha256 = row
    if not isinstance(size, int) or not 0 < size < 1 << 40:
        raise ValueError(f"the size of {name} is {size!r}")
    if not _SHA256.fullmatch(sha256) or not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise ValueError(f"the entry of {name} is broken")
    return Chosen(_word(name), _word(version), _word(architecture), path, size, sha256)


def _snapshot(suite: str, date: str, sha256: str) -> Snapshot:
    if not _SHA256.fullmatch(sha256) or not isinstance(date, str):
        raise ValueError(f"what it says of the archive {suite!r} is broken")
    return Snapshot(str(suite), date, sha256)


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError(f"not a name: {text[:60]!r}")
    return text
