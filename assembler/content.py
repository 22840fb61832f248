"""Content: bytes, or ranges of open files, that are copied without being held in memory.

The kernel copies a file range from file to file where it can. A `ContentChain` joins pieces. A
`ContentRecorder` is written to like a file, and returns a chain that refers to the file ranges it
was given instead of copying them.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.kernel_copies import copy_to_file, copy_to_stream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CHUNK_SIZE = 256 << 10


@dataclass(frozen=True, slots=True)
class FileRange:
    """A range of an open file, by default from its beginning."""

    fd: int
    size: int
    offset: int = 0
    # The checksum of its bytes, if it is known without reading them.
    crc32: int | None = field(default=None, compare=False)

    def chunks(self, done: int = 0) -> Iterator[bytes]:
        """Yield the bytes, without the first `done` ones."""
        while done < self.size:
            data = os.pread(self.fd, min(_CHUNK_SIZE, self.size - done), self.offset + done)
            if not data:
                raise OutputError.of(
                    codes.SOURCE_CHANGED,
                    f"a file was truncated while it was read: {self.size - done} bytes are missing",
                    "build again when no program writes to it",
                )
            yield data
            done += len(data)


@dataclass(frozen=True, slots=True)
class ContentChain:
    """A concatenation of pieces."""

    pieces: tuple[bytes | FileRange, ...]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return sum(map(content_size, self.pieces))

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes."""
        for piece in self.pieces:
            yield from iter_chunks(piece)


Content = bytes | FileRange | ContentChain


def content_size(content: Content) -> int:
    """Return the number of bytes."""
    return len(content) if isinstance(content, bytes) else content.size


def content_pieces(content: Content) -> Iterable[bytes | FileRange]:
    """Return the pieces of a content."""
    return content.pieces if isinstance(content, ContentChain) else (content,)


def iter_chunks(content: Content) -> Iterator[bytes]:
    """Yield the bytes in chunks."""
    if isinstance(content, bytes):
        yield content
    else:
        yield from content.chunks()


def read_content(content: Content) -> bytes:
    """Return all bytes of a content that is known to be small."""
    return content if isinstance(content, bytes) else b"".join(content.chunks())


def content_digest(content: Content) -> bytes:
    """Return the SHA-256 of a content."""
    hasher = hashlib.sha256()
    for chunk in iter_chunks(content):
        hasher.update(chunk)
    return hasher.digest()


def slice_content(content: Content, start: int, size: int) -> Content:
    """Return `size` bytes of a content from `start`, or fewer at its end."""
    if isinstance(content, bytes):
        return content[start : start + size]
    if isinstance(content, FileRange):
        start = min(start, content.size)
        length = max(0, min(size, content.size - start))
        return FileRange(content.fd, length, content.offset + start)
    pieces: list[bytes | FileRange] = []
    for piece in content.pieces:
        length = content_size(piece)
        if start < length and size > 0:
            taken = slice_content(piece, start, size)
            pieces.extend(content_pieces(taken))
            size -= content_size(taken)
        start = max(0, start - length)
    return ContentChain(tuple(pieces))


def write_content(out: IO[bytes] | ContentRecorder, content: Content) -> None:
    """Write a content to a file, a pipe, a recorder or another binary stream."""
    for piece in content_pieces(content):
        if isinstance(piece, bytes):
            out.write(piece)
        elif isinstance(out, ContentRecorder):
            out.add_range(piece)
        else:
            _write_range(out, piece)


def _write_range(out: IO[bytes], file_range: FileRange) -> None:
    out.flush()
    fd = _file_descriptor(out)
    done = 0
    if fd is not None:
        done = copy_to_stream(file_range.fd, file_range.offset, file_range.size, fd)
    for data in file_range.chunks(done):
        out.write(data)


def write_content_at(fd: int, offset: int, content: Content) -> None:
    """Write a content at an offset of a regular file, without using the file's position."""
    for piece in content_pieces(content):
        done = 0
        if isinstance(piece, FileRange):
            done = copy_to_file(piece.fd, piece.offset, piece.size, fd, offset)
        for data in (piece,) if isinstance(piece, bytes) else piece.chunks(done):
            view = memoryview(data)
            while view:
                written = os.pwrite(fd, view, offset + done)
                done += written
                view = view[written:]
        offset += content_size(piece)


def _file_descriptor(out: IO[bytes]) -> int | None:
    try:
        return out.fileno()
    except (OSError, AttributeError):
        return None


@dataclass(slots=True)
class ContentRecorder:
    """A writable file whose written data becomes a content.

    File ranges are kept as references. Bytes, and data written to the descriptor, go to `file`,
    which must stay open as long as the content is used.
    """

    file: IO[bytes]
    _pieces: list[FileRange] = field(default_factory=list)
    # The end of the part of the file that is in the pieces already.
    _end: int = 0

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self.file.fileno()

    def write(self, data: bytes | memoryview) -> int:
        """Write to the file."""
        return self.file.write(data)

    def flush(self) -> None:
        """Flush the buffer to the descriptor."""
        self.file.flush()

    def add_range(self, file_range: FileRange) -> None:
        """Append a file range without copying it."""
        self._add_written()
        self._pieces.append(file_range)

    def content(self) -> ContentChain:
        """Return everything that was written."""
        self._add_written()
        return ContentChain(tuple(self._pieces))

    def _add_written(self) -> None:
        self.file.flush()
        fd = self.file.fileno()
        end = os.fstat(fd).st_size
        if end > self._end:
            self._pieces.append(FileRange(fd, end - self._end, self._end))
            self._end = end
