"""What goes onto an ISO volume: files, directories, links and devices with all their attributes."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from assembler.content import Content


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The content of a file that is a part of another file of the volume."""

    path: bytes
    # A multiple of the size of a sector.
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class IsoEntry:
    """A file of any kind; directories that nobody names are made."""

    # Without a slash at either end; the root directory is empty.
    path: bytes
    # With the type, as `stat` has it.
    mode: int
    content: Content | FileSlice = b""
    # Of a symbolic link.
    target: bytes = b""
    # Major and minor number.
    device: tuple[int, int] = (0, 0)
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    # How many names the file has; those with equal contents lie in the same place.
    links: int = 1

    @property
    def is_directory(self) -> bool:
        """Tell whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def size(self) -> int:
        """Return the number of bytes of its content."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.size


def regular_file(path: str, content: Content | FileSlice, mtime: int = 0) -> IsoEntry:
    """Return a plain file that everybody may read."""
    return IsoEntry(path.encode(), stat.S_IFREG | 0o444, content, mtime=mtime)
