"""The directory that is served: its files are opened beneath it, whatever their names are."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.descriptors import NAME_ONLY

if TYPE_CHECKING:
    from pathlib import Path

_DIRECTORY = NAME_ONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe without a writer would block.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class ServedFolder:
    """A directory, by its resolved path."""

    path: Path

    def names(self) -> list[str]:
        """Return the names of the files in the directory that can be opened."""
        with suppress(OSError):
            return [name for name in sorted(p.name for p in self.path.iterdir()) if self.has(name)]
        return []

    def has(self, name: str) -> bool:
        """Tell whether `open` would find a file."""
        return self._place(name) is not None

    def open(self, name: str) -> IO[bytes] | None:
        """Open a file; None if it is missing, hidden, not regular, or a link to the outside."""
        place = self._place(name)
        if place is None:
            return None
        try:
            return _open_beneath(self.path, place)
        except OSError:
            return None

    def _place(self, name: str) -> tuple[str, ...] | None:
        """Return the path of a file without its symbolic links, relative to the directory."""
        if not name or name.endswith("/") or _is_hidden(name.split("/")):
            return None
        try:
            path = (self.path / name).resolve()
            place = path.relative_to(self.path).parts
            is_file = stat.S_ISREG(path.stat(follow_symlinks=False).st_mode)
        except (OSError, RuntimeError, ValueError):
            # Among others: loops of links, too long names, NUL bytes, links to the outside.
            return None
        return place if is_file and not _is_hidden(place) else None


def _is_hidden(parts: list[str] | tuple[str, ...]) -> bool:
    return any(part.startswith(".") for part in parts)


def _open_beneath(directory: Path, place: tuple[str, ...]) -> IO[bytes] | None:
    """Open a file step by step: a link that has appeared since is not followed."""
    above = os.open(directory, _DIRECTORY)
    try:
        for part in place[:-1]:
            below = os.open(part, _DIRECTORY, dir_fd=above)
            os.close(above)
            above = below
        handle = os.open(place[-1], _FILE, dir_fd=above)
    finally:
        os.close(above)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")
