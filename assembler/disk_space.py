"""The free space of filesystems, and the image store that a path belongs to."""

from __future__ import annotations

import os
from pathlib import Path

# With less than this, a filesystem counts as full: programs fail before the last byte is used.
_FULL = 256 << 10


def free_space(path: Path) -> int | None:
    """Return the free bytes of the filesystem of a path, which need not exist; None if unknown."""
    for place in (path.absolute(), *path.absolute().parents):
        try:
            found = os.statvfs(place)
        except OSError:
            continue
        return found.f_bavail * found.f_frsize
    return None


def is_full(path: Path) -> bool:
    """Tell whether the filesystem of a path has no room left."""
    free = free_space(path)
    return free is not None and free < _FULL


def temporary_directory() -> Path:
    """Return the directory of temporary files as `tempfile` chooses it, without a file to test it.

    A process that is stopped at the wrong moment would leave that file behind.
    """
    chosen = filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP")))
    return Path(next(chosen, "/tmp")).absolute()  # noqa: S108 - no file is made there


def store_of(path: Path) -> Path | None:
    """Return the image store that a path is in, or None."""
    for place in (path.absolute(), *path.absolute().parents):
        if (place / "oci-layout").is_file() and (place / "locks").is_dir():
            return place
    return None
