"""The package lock of a recipe: the exact packages for each architecture.

`debs.lock` is beside build.yml and is committed, so it affects the package's tag.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import packages
from assembler.data_files import open_data_file
from assembler.debian.engine_protocol import ArchiveSnapshot, PinnedPackage
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

LOCK_FILE = "debs.lock"
_VERSION = 1
_MAX_LOCK_SIZE = 16 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_-]*")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~_/-]*\.deb")


@dataclass(frozen=True, slots=True)
class PackageLock:
    """The requests of a recipe and the packages for them, by Debian architecture."""

    suite: str
    # The `resolution_inputs` of the recipe; if they change, the lock is outdated.
    requests: Mapping[str, tuple[str, ...]]
    packages: Mapping[str, tuple[PinnedPackage, ...]] = field(default_factory=dict)
    # The archives at that time, for messages and to find them in snapshots of archives.
    archives: tuple[ArchiveSnapshot, ...] = ()

    def same_packages(self, other: PackageLock) -> bool:
        """Tell whether both locks give the same images; the archives may differ."""
        return replace(self, archives=()) == replace(other, archives=())


def read_package_lock(directory: Path) -> PackageLock | None:
    """Return the lock of a package, or None if it has no lock."""
    path = directory / LOCK_FILE
    if not path.exists():
        return None
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        data = file.read(_MAX_LOCK_SIZE + 1)
    try:
        return _parse_lock(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise PackageError.of(
            packages.BAD_LOCK,
            f"{path} is not a valid package lock: {error}",
            f"renew it: dolmen pkg lock {directory}",
        ) from error


def write_package_lock(directory: Path, lock: PackageLock) -> Path:
    """Write the lock, one package on each line, and return its path."""
    path = directory / LOCK_FILE
    lines = [
        "{",
        f' "version": {_VERSION},',
        f' "suite": {json.dumps(lock.suite)},',
        f' "wanted": {json.dumps({k: list(v) for k, v in sorted(lock.requests.items())})},',
        ' "packages": {',
    ]
    blocks = []
    for architecture, pinned in sorted(lock.packages.items()):
        rows = ",\n".join(f"   {json.dumps(_package_row(package))}" for package in pinned)
        blocks.append(f"  {json.dumps(architecture)}: [\n{rows}\n  ]")
    lines += [",\n".join(blocks), " }" + ("," if lock.archives else "")]
    if lock.archives:
        snapshot_rows = [f"  {json.dumps([a.suite, a.date, a.sha256])}" for a in lock.archives]
        lines += [' "archives": [', ",\n".join(snapshot_rows), " ]"]
    lines += ["}", ""]
    with atomic_write(path) as file:
        file.write("\n".join(lines).encode())
    return path


def _package_row(package: PinnedPackage) -> list[str | int]:
    return [
        *(package.name, package.version, package.architecture),
        *(package.path, package.size, package.sha256),
    ]


def _parse_lock(data: Any) -> PackageLock:  # noqa: ANN401 - JSON
    if data["version"] != _VERSION:
        raise ValueError(f"its version is {data['version']!r}")
    return PackageLock(
        suite=_check_word(data["suite"]),
        requests={_check_word(k): tuple(str(n) for n in v) for k, v in data["wanted"].items()},
        packages={
            _check_word(arch): tuple(_parse_package(row) for row in rows)
            for arch, rows in data["packages"].items()
        },
        archives=tuple(_parse_snapshot(*row) for row in data.get("archives", ())),
    )


def _parse_package(row: Sequence[Any]) -> PinnedPackage:
    name, version, architecture, path, size, sha256 = row
    if not isinstance(size, int) or not 0 < size < 1 << 40:
        raise ValueError(f"the size of {name} is {size!r}")
    if not _SHA256.fullmatch(sha256) or not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise ValueError(f"the entry of {name} is broken")
    return PinnedPackage(
        _check_word(name), _check_word(version), _check_word(architecture), path, size, sha256
    )


def _parse_snapshot(suite: str, date: str, sha256: str) -> ArchiveSnapshot:
    if not _SHA256.fullmatch(sha256) or not isinstance(date, str):
        raise ValueError(f"the entry of the archive {suite!r} is broken")
    return ArchiveSnapshot(str(suite), date, sha256)


def _check_word(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise ValueError(f"not a name: {text[:60]!r}")
    return text
