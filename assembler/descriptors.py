"""Descriptors of open files: their paths in /proc, and descriptors that only name a directory.

Linux has both, if /proc is mounted. Callers have another way where a path is None.
"""

from __future__ import annotations

import os

# Opens a directory without the right to list it; elsewhere that right is necessary.
NAME_ONLY: int = getattr(os, "O_PATH", os.O_RDONLY)


def descriptor_path(handle: int) -> str | None:
    """Return a path that opens the file of a descriptor, or None where there is none."""
    path = f"/proc/self/fd/{handle}"
    return path if os.path.exists(path) else None  # noqa: PTH110 - pathlib is slower
