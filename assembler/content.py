"""Contents of any size as pieces: bytes at hand and stretches of open files.

Nothing large is ever read as a whole: a stretch goes from file to file by the kernel alone where
it can. `Chain` joins pieces to one content; `Recorder` takes what would be written to a file and
gives a chain, in which stretches are still stretches.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

from assembler.codes import output as codes
from assembler.errors import OutputError

_CHUNK = 256 << 10
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)


@dataclass(frozen=True, slots=True)
class FileRange:
    """A part of an open file, from its beginning if nothing else is said."""

    handle: int
    size: int
    start: int = 0
    # Of its bytes, if that is known without reading them.
    crc32: int | None = field(default=None, compare=False)

    def chunks(self, done: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `done` on."""
        while done < self.size:
            data = os.pread(self.handle, min(_CHUNK, self.size - done), self.start + done)
            if not data:
                raise OutputError.of(
                    codes.SOURCE_CHANGED,
                    f"a file was cut short while it was read: {self.size - done} bytes are missing",
                    "build again when nothing writes to it",
                )
            yield data
            done += len(data)


@dataclass(frozen=True, slots=True)
class Chain:
    """Pieces one after the other."""

    pieces: tuple[bytes | FileRange, ...]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return sum(map(size_of, self.pieces))

    def chunks(self) -> Iterator[bytes]:
        """Yield all bytes."""
        for piece in self.pieces:
            yield from chunks_of(piece)


Content = bytes | FileRange | Chain


def size_of(content: Content) -> int:
    """Return the number of bytes."""
    return len(content) if isinstance(content, bytes) else content.size


def pieces_of(content: Content) -> Iterable[bytes | FileRange]:
    """Return what a content consists of."""
    return content.pieces if isinstance(content, Chain) else (content,)


def chunks_of(content: Content) -> Iterator[bytes]:
    """Yield the bytes, some at a time."""
    if isinstance(content, bytes):
        yield content
    else:
        yield from content.chunks()


def whole(content: Content) -> bytes:
    """Return all bytes of something that is known to be small."""
    return content if isinstance(content, bytes) else b"".join(content.chunks())


def part_of(content: Content, start: int, size: int) -> Content:
    """Return a part of a content; what is asked for beyond its end is not there."""
    if isinstance(content, bytes):
        return content[start : start + size]
    if isinstance(content, FileRange):
        begin = min(start, content.size)
        return FileRange(
            content.handle, max(0, min(size, content.size - begin)), content.start + begin
        )
    found: list[bytes | FileRange] = []
    for piece in content.pieces:
        length = size_of(piece)
        if start < length and size > 0:
            taken = part_of(piece, start, size)
            found.extend(pieces_of(taken))
            size -= size_of(taken)
        start = max(0, start - length)
    return Chain(tuple(found))


def append(out: IO[bytes] | Recorder, content: Content) -> None:
    """Append a content; `out` may be a file, a pipe or anything that is written to."""
    for piece in pieces_of(content):
        if isinstance(piece, bytes):
            out.write(piece)
        elif isinstance(out, Recorder):
            out.take(piece)
        else:
            _append_stretch(out, piece)


def _append_stretch(out: IO[bytes], stretch: FileRange) -> None:
    out.flush()
    handle = _descriptor(out)
    done = 0
    if handle is not None:
        done = _by_kernel(handle, stretch)
    for data in stretch.chunks(done):
        out.write(data)


def put_at(handle: int, offset: int, content: Content) -> None:
    """Write a content to a place in a regular file, whatever position the file is at."""
    for piece in pieces_of(content):
        done = 0
        if isinstance(piece, FileRange):
            done = _copied(handle, piece, offset)
        for data in (piece,) if isinstance(piece, bytes) else piece.chunks(done):
            view = memoryview(data)
            while view:
                written = os.pwrite(handle, view, offset + done)
                done += written
                view = view[written:]
        offset += size_of(piece)


def _descriptor(out: IO[bytes]) -> int | None:
    try:
        return out.fileno()
    except (OSError, AttributeError):
        return None


def _copied(handle: int, source: FileRange, offset: int | None) -> int:
    """Copy within the kernel, to the file's position or another; return how much that did."""
    done = 0
    try:
        while done < source.size:
            at = None if offset is None else offset + done
            copied = os.copy_file_range(
                source.handle, handle, source.size - done, source.start + done, at
            )
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return done


def _by_kernel(handle: int, source: FileRange) -> int:
    """Copy without bringing the bytes to this process; return how many were copied."""
    done = _copied(handle, source, None)
    try:
        while done < source.size:
            copied = os.sendfile(handle, source.handle, source.start + done, source.size - done)
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return done


@dataclass(slots=True)
class Recorder:
    """Looks like a file that is written to; what is written is a content in the end.

    Stretches are remembered and not copied. What is written as bytes, or to the descriptor, goes to
    `file`, which has to stay open as long as the content is used.
    """

    file: IO[bytes]
    _pieces: list[FileRange] = field(default_factory=list)
    # How far the file is part of the content already.
    _taken: int = 0

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self.file.fileno()

    def write(self, data: bytes | memoryview) -> int:
        """Write to the file."""
        return self.file.write(data)

    def flush(self) -> None:
        """Bring everything to the descriptor."""
        self.file.flush()

    def take(self, stretch: FileRange) -> None:
        """Let a stretch follow on what was written so far."""
        self._settle()
        self._pieces.append(stretch)

    def content(self) -> Chain:
        """Return everything."""
        self._settle()
        return Chain(tuple(self._pieces))

    def _settle(self) -> None:
        self.file.flush()
        handle = self.file.fileno()
        end = os.fstat(handle).st_size
        if end > self._taken:
            self._pieces.append(FileRange(handle, end - self._taken, self._taken))
            self._taken = end
