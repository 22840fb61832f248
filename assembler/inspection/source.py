"""Sources of data: a file, a window of another source, or the disk in a container."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 256 << 10


class CorruptDataError(Exception):
    """A problem of the data; its text is for people."""


class NotReadableError(CorruptDataError):
    """Data that is not read here, though it may be in order."""


class DataSource(Protocol):
    """Data with a size, of which any range can be read."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""


@dataclass(frozen=True, slots=True)
class FileSource:
    """An open file."""

    handle: int
    size: int

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        if at < 0 or at >= self.size or size <= 0:
            return b""
        return os.pread(self.handle, min(size, self.size - at), at)


@dataclass(frozen=True, slots=True)
class SourceWindow:
    """A range of another source, which may be shorter."""

    source: DataSource
    start: int
    length: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return max(0, min(self.length, self.source.size - self.start))

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        return self.source.read(self.start + at, min(size, self.size - at)) if at >= 0 else b""


@dataclass(frozen=True, slots=True)
class BytesSource:
    """Bytes in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return len(self.data)

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        return self.data[at : at + size] if at >= 0 and size > 0 else b""


class BlockSource:
    """A disk in a container; subclasses read its blocks."""

    def __init__(self, size: int, block: int) -> None:
        """Set the size of the disk and of its blocks."""
        self.size = size
        self._block = block
        self._last: tuple[int, bytes] = (-1, b"")

    def block(self, number: int) -> bytes | None:
        """Return a block, or None if it is zero."""
        raise NotImplementedError

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        if at < 0 or at >= self.size:
            return b""
        size = min(size, self.size - at)
        found = bytearray()
        while len(found) < size:
            number, begin = divmod(at + len(found), self._block)
            count = min(self._block - begin, size - len(found))
            if self._last[0] != number:
                self._last = (number, self.block(number) or b"")
            found += self._last[1][begin : begin + count].ljust(count, b"\0")
        return bytes(found)


def file_range_of(source: DataSource) -> tuple[int, int, int] | None:
    """Return handle, offset and size of a source that is a range of a file; None for others."""
    start, size = 0, source.size
    while isinstance(source, SourceWindow):
        start += source.start
        source = source.source
    return (source.handle, start, size) if isinstance(source, FileSource) else None


def read_exactly(source: DataSource, at: int, size: int) -> bytes:
    """Return bytes; a source with fewer is cut short."""
    data = source.read(at, size)
    if len(data) != size:
        raise CorruptDataError("it is cut short")
    return data


def unpack_struct(form: str, source: DataSource, at: int) -> tuple[Any, ...]:
    """Return the fields of a structure at an offset."""
    return struct.unpack(form, read_exactly(source, at, struct.calcsize(form)))


def read_chunks(source: DataSource, at: int = 0) -> Iterator[bytes]:
    """Yield everything from `at` on."""
    while data := source.read(at, CHUNK):
        yield data
        at += len(data)


def printable_text(data: bytes) -> str:
    """Return text up to the first zero byte; unprintable characters are replaced."""
    shown = data.split(b"\0")[0].decode("utf-8", "replace").strip()
    return "".join(c if c.isprintable() else "\ufffd" for c in shown)
