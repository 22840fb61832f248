"""Garbage collection of Debian packages and package lists."""

from __future__ import annotations

import math
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.oci import HOUR, GcLimits, files_in, oldest_run_start
from assembler.part_files import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci import Store

# Archives keep old versions for a few days only: a locked version may be in no other place.
_DEFAULT_MAX_AGE = 30 * 24 * HOUR
_ENGINES = ("apt", "python")


@dataclass(slots=True)
class DebianGcResult:
    """The number of removed packages and other files, and their size."""

    packages: int = 0
    # Package lists and incomplete downloads.
    other_files: int = 0
    bytes: int = 0


def collect_debian_garbage(store: Store, limits: GcLimits, now: float) -> DebianGcResult:
    """Remove the files that the limits do not protect, except those that a current run uses."""
    result = DebianGcResult()
    root = store.root / "debs"
    if not root.is_dir():
        return result
    run_start = oldest_run_start(store, dry_run=limits.dry_run)
    max_age = _DEFAULT_MAX_AGE if limits.older_than is None else limits.older_than
    used_before = min(run_start - 1, math.inf if limits.everything else now - max_age)
    for item in files_in(root / "pool"):
        complete = item.path.suffix == ".deb"
        # An incomplete file with no recent write is of a build that was killed.
        if item.used < (used_before if complete else min(run_start, now - limits.grace)):
            if not limits.dry_run:
                with wrap_os_errors(item.path, "remove"):
                    item.path.unlink(missing_ok=True)
            result.packages += complete
            result.other_files += not complete
            result.bytes += item.size
    modified_before = min(run_start, now - limits.grace)
    for directory in _directories(root / "tmp"):
        if directory.stat().st_mtime < modified_before:
            _remove(directory, limits, result)
    if run_start == math.inf:
        for directory in (d for name in _ENGINES for d in _directories(root / name)):
            with _try_lock_directory(directory) as free:
                if free and _last_updated(directory) < used_before:
                    _remove(directory, limits, result)
    return result


def _directories(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("*") if p.is_dir() and not p.is_symlink())


def _last_updated(directory: Path) -> float:
    """Return the time of the last update of the package lists in a directory."""
    times = [directory.stat().st_mtime]
    for name in ("updated", "known"):
        with suppress(OSError):
            times.append((directory / name).stat().st_mtime)
    return max(times)


@contextmanager
def _try_lock_directory(directory: Path) -> Iterator[bool]:
    """Yield whether the lock of a directory could be taken; builds wait for it."""
    with wrap_os_errors(directory):
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield try_lock(handle)
    finally:
        os.close(handle)


def _remove(directory: Path, limits: GcLimits, result: DebianGcResult) -> None:
    size = sum(p.lstat().st_size for p in directory.rglob("*") if p.is_file())
    if not limits.dry_run:
        with wrap_os_errors(directory, "remove"):
            shutil.rmtree(directory)
    result.other_files += 1
    result.bytes += size
