"""Entries of an ISO volume: files, directories, links and devices with their attributes."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.content import Content


@dataclass(frozen=True, slots=True)
class FileSlice:
    """The content of a file as a part of another file of the volume."""

    path: bytes
    # A multiple of the sector size.
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class IsoEntry:
    """A file of any type; missing directories are added."""

    # Without a slash at either end; empty for the root directory.
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
    # The number of hard links; linked files with equal contents are stored once.
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
    """Return a regular file that all users may read."""
    return IsoEntry(path.encode(), stat.S_IFREG | 0o444, content, mtime=mtime)
