"""Making room: Debian packages and lists of archives that no recipe has used for long."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.oci import HOUR, GcLimits, files_in, oldest_run_start, try_lock

if TYPE_CHECKING:
    from assembler.oci import Store

# Archives drop what they had after some days: what a lock wants may be here and nowhere else.
_DEFAULT_MAX_AGE = 30 * 24 * HOUR
_ENGINES = ("apt", "python")


@dataclass(slots=True)
class DebianGcResult:
    """What was removed, or would have been."""

    packages: int = 0
    # Lists of archives, and what was never whole.
    others: int = 0
    bytes: int = 0


def collect_debian_garbage(store: Store, limits: GcLimits, now: float) -> DebianGcResult:
    """Remove what the limits do not keep; what a run under way has used stays."""
    done = DebianGcResult()
    root = store.root / "debs"
    if not root.is_dir():
        return done
    begun = oldest_run_start(store, dry_run=limits.dry_run)
    kept_for = _DEFAULT_MAX_AGE if limits.older_than is None else limits.older_than
    unused = min(begun - 1, math.inf if limits.everything else now - kept_for)
    for item in files_in(root / "pool"):
        whole = item.path.suffix == ".deb"
        # What was never whole is of a build that was killed, if nothing was written to it lately.
        if item.used < (unused if whole else min(begun, now - limits.grace)):
            if not limits.dry_run:
                with wrap_os_errors(item.path, "remove"):
                    item.path.unlink(missing_ok=True)
            done.packages += whole
            done.others += not whole
            done.bytes += item.size
    young = min(begun, now - limits.grace)
    for directory in _directories(root / "tmp"):
        if directory.stat().st_mtime < young:
            _remove(directory, limits, done)
    if begun == math.inf:
        for directory in (d for name in _ENGINES for d in _directories(root / name)):
            with _try_lock_directory(directory) as free:
                if free and _last_updated(directory) < unused:
                    _remove(directory, limits, done)
    return done


def _directories(root: Path) -> list[Path]:
    return sorted(p for p in root.glob("*") if p.is_dir() and not p.is_symlink())


def _last_updated(directory: Path) -> float:
    """Return when archives were last asked for the lists in a directory."""
    times = [directory.stat().st_mtime]
    for name in ("updated", "known"):
        with suppress(OSError):
            times.append((directory / name).stat().st_mtime)
    return max(times)


@contextmanager
def _try_lock_directory(directory: Path) -> Iterator[bool]:
    """Tell whether a directory is unused; a build that needs it waits."""
    with wrap_os_errors(directory):
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        yield try_lock(handle)
    finally:
        os.close(handle)


def _remove(directory: Path, limits: GcLimits, done: DebianGcResult) -> None:
    size = sum(p.lstat().st_size for p in directory.rglob("*") if p.is_file())
    if not limits.dry_run:
        with wrap_os_errors(directory, "remove"):
            shutil.rmtree(directory)
    done.others += 1
    done.bytes += size
