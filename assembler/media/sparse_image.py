"""A medium: its size and which content lies where, the rest being zero; and what can be done so.

write(medium, file)       to a file, sparse
pieces(medium)            as a stream
blocks(medium, size)      as those blocks that are not zero, for disk containers
content_of(medium)        as a content, to lie in another medium
mark_of(contents)         a hash that serial numbers and UUIDs are made of
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Protocol

from isal.isal_zlib import crc32, crc32_combine

from assembler.content import (
    Content,
    ContentChain,
    FileRange,
    content_pieces,
    content_size,
    iter_chunks,
    slice_content,
    write_content_at,
)
from assembler.files import preallocate_ranges

# What memory and disks are dealt out in, and up to which distance a gap is not worth leaving out.
_PAGE, _NEAR = 4096, 16 << 10
_ZEROS = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of content and where it lies."""

    offset: int
    content: bytes | FileRange

    @property
    def end(self) -> int:
        """Return where it ends."""
        return self.offset + content_size(self.content)


class SparseImage(Protocol):
    """Anything that has a size and knows what lies where."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""

    def extents(self) -> Iterator[Extent]:
        """Yield what is not zero, in the order of offsets and not overlapping; any time anew."""


@dataclass(frozen=True, slots=True)
class ExtentImage:
    """A medium of a few things that are known by now."""

    size: int
    parts: tuple[Extent, ...]

    @classmethod
    def of(cls, things: Iterable[tuple[int, Content]], size: int | None = None) -> ExtentImage:
        """Arrange contents at offsets, in any order; as large as they need if nothing is said."""
        found = [p for offset, content in things for p in extents_of(offset, content)]
        found.sort(key=lambda p: p.offset)
        end = found[-1].end if found else 0
        return cls(end if size is None else size, tuple(found))

    def extents(self) -> Iterator[Extent]:
        """Yield what is not zero."""
        return iter(self.parts)


def extents_of(offset: int, content: Content) -> Iterator[Extent]:
    """Yield the pieces of a content as they lie from an offset on."""
    for piece in content_pieces(content):
        if size := content_size(piece):
            yield Extent(offset, piece)
            offset += size


def shifted_extents(image: SparseImage, offset: int) -> Iterator[Extent]:
    """Yield what a medium has, as it lies in another one from an offset on."""
    for thing in image.extents():
        yield Extent(thing.offset + offset, thing.content)


def write_image(image: SparseImage, file: IO[bytes]) -> None:
    """Write to an empty regular file; it is sparse where nothing lies, and at its end after."""
    file.flush()
    handle = file.fileno()
    preallocate_ranges(file, _reserved_ranges(image))
    for thing in image.extents():
        write_content_at(handle, thing.offset, thing.content)
    file.truncate(image.size)
    file.seek(0, 2)


def _reserved_ranges(image: SparseImage) -> list[tuple[int, int]]:
    """Return where something lies; what is near to each other is one span."""
    spans: list[tuple[int, int]] = []
    for thing in image.extents():
        start, end = thing.offset // _PAGE * _PAGE, -(-thing.end // _PAGE) * _PAGE
        if spans and start - spans[-1][1] <= _NEAR:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def image_pieces(image: SparseImage) -> Iterator[bytes | FileRange]:
    """Yield the whole medium as a stream, zeros included."""
    done = 0
    for thing in image.extents():
        yield from _zeros(thing.offset - done)
        yield thing.content
        done = thing.end
    yield from _zeros(image.size - done)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[:count]
        count -= len(_ZEROS)


def chunks_in_range(image: SparseImage, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from one place to another, zeros included, some at a time."""
    offset = 0
    for piece in image_pieces(image):
        length = content_size(piece)
        if offset >= end:
            return
        if offset + length > start:
            begin = max(0, start - offset)
            yield from iter_chunks(slice_content(piece, begin, end - offset - begin))
        offset += length


def image_content(image: SparseImage) -> ContentChain:
    """Return a medium as a content; zeros take room, so it is for media that are nearly full."""
    return ContentChain(tuple(image_pieces(image)))


def nonzero_blocks(image: SparseImage, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of every block that is not all zero; the last is filled up."""
    number, block, used = -1, bytearray(size), False
    for thing in image.extents():
        offset = thing.offset
        for chunk in iter_chunks(thing.content):
            done = 0
            while done < len(chunk):
                current, begin = divmod(offset, size)
                if current != number:
                    if used and has_nonzero(block):
                        yield number, bytes(block)
                    number, block, used = current, bytearray(size), True
                taken = min(size - begin, len(chunk) - done)
                block[begin : begin + taken] = memoryview(chunk)[done : done + taken]
                done += taken
                offset += taken
    if used and has_nonzero(block):
        yield number, bytes(block)


def has_nonzero(data: bytes | bytearray) -> bool:
    """Tell whether any byte is not zero."""
    # Comparing is 15 times as fast as counting.
    return data != bytes(len(data))


def read_image(image: SparseImage, start: int, size: int) -> bytes:
    """Return some bytes of a medium, as far as it reaches."""
    size = max(0, min(size, image.size - start))
    found = bytearray(size)
    for thing in image.extents():
        if thing.offset >= start + size:
            break
        if thing.end > start:
            skip = max(0, start - thing.offset)
            at = max(0, thing.offset - start)
            for chunk in iter_chunks(slice_content(thing.content, skip, size - at)):
                found[at : at + len(chunk)] = chunk
                at += len(chunk)
    return bytes(found)


def seed_of(contents: Iterable[tuple[str, Content]]) -> bytes:
    """Return 32 bytes that stand for these names and contents, for numbers that should differ.

    Contents count by their CRC-32, which for most of them is known: nobody is kept from anything by
    these numbers.
    """
    hasher = hashlib.sha256()
    for name, content in contents:
        hasher.update(f"{name}\0{content_size(content)}\0{_crc32_of(content)}\0".encode())
    return hasher.digest()


def _crc32_of(content: Content) -> int:
    checksum = 0
    for piece in content_pieces(content):
        if isinstance(piece, FileRange) and piece.crc32 is not None:
            checksum = crc32_combine(checksum, piece.crc32, piece.size)
        else:
            for chunk in iter_chunks(piece):
                checksum = crc32(chunk, checksum)
    return checksum
