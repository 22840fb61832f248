"""Sparse images: a size, the extents that hold content, and the operations on them.

write_image(image, file)       to a file, sparse
image_pieces(image)            as a stream
nonzero_blocks(image, size)    as the blocks that are not zero, for disk containers
image_content(image)           as content of another image
seed_of(contents)              a hash from which serial numbers and UUIDs are derived
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

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

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The unit of memory and disks, and the largest gap for which room is reserved as well.
_PAGE, _NEAR = 4096, 16 << 10
_ZEROS = bytes(1 << 20)


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of content and its offset."""

    offset: int
    content: bytes | FileRange

    @property
    def end(self) -> int:
        """Return the offset behind it."""
        return self.offset + content_size(self.content)


class SparseImage(Protocol):
    """Anything with a size and extents; the rest is zero."""

    @property
    def size(self) -> int:
        """Return the number of bytes."""

    def extents(self) -> Iterator[Extent]:
        """Yield the extents by offset, without overlaps; each call begins again."""


@dataclass(frozen=True, slots=True)
class ExtentImage:
    """An image of a few extents that are known beforehand."""

    size: int
    parts: tuple[Extent, ...]

    @classmethod
    def of(cls, things: Iterable[tuple[int, Content]], size: int | None = None) -> ExtentImage:
        """Return an image with contents at offsets, in any order; its default size fits them."""
        found = [p for offset, content in things for p in extents_of(offset, content)]
        found.sort(key=lambda p: p.offset)
        end = found[-1].end if found else 0
        return cls(end if size is None else size, tuple(found))

    def extents(self) -> Iterator[Extent]:
        """Yield the extents."""
        return iter(self.parts)


def extents_of(offset: int, content: Content) -> Iterator[Extent]:
    """Yield the pieces of a content as extents from an offset on."""
    for piece in content_pieces(content):
        if size := content_size(piece):
            yield Extent(offset, piece)
            offset += size


def shifted_extents(image: SparseImage, offset: int) -> Iterator[Extent]:
    """Yield the extents of an image at their place in another image."""
    for extent in image.extents():
        yield Extent(extent.offset + offset, extent.content)


def write_image(image: SparseImage, file: IO[bytes]) -> None:
    """Write an image to an empty regular file, sparse; the file position is then its end."""
    file.flush()
    handle = file.fileno()
    preallocate_ranges(file, _reserved_ranges(image))
    for extent in image.extents():
        write_content_at(handle, extent.offset, extent.content)
    file.truncate(image.size)
    file.seek(0, 2)


def _reserved_ranges(image: SparseImage) -> list[tuple[int, int]]:
    """Return the ranges to reserve; extents near each other share one."""
    spans: list[tuple[int, int]] = []
    for extent in image.extents():
        start, end = extent.offset // _PAGE * _PAGE, -(-extent.end // _PAGE) * _PAGE
        if spans and start - spans[-1][1] <= _NEAR:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def image_pieces(image: SparseImage) -> Iterator[bytes | FileRange]:
    """Yield the whole image as a stream, zeros included."""
    done = 0
    for extent in image.extents():
        yield from _zeros(extent.offset - done)
        yield extent.content
        done = extent.end
    yield from _zeros(image.size - done)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield _ZEROS[:count]
        count -= len(_ZEROS)


def chunks_in_range(image: SparseImage, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of a range in chunks, zeros included."""
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
    """Return an image as content; its zeros take memory, so it should be nearly full."""
    return ContentChain(tuple(image_pieces(image)))


def nonzero_blocks(image: SparseImage, size: int) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of each block that is not zero; the last one is padded."""
    number, block, used = -1, bytearray(size), False
    for extent in image.extents():
        offset = extent.offset
        for chunk in iter_chunks(extent.content):
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
    # A comparison is 15 times as fast as a count.
    return data != bytes(len(data))


def read_image(image: SparseImage, start: int, size: int) -> bytes:
    """Return bytes of an image, fewer at its end."""
    size = max(0, min(size, image.size - start))
    found = bytearray(size)
    for extent in image.extents():
        if extent.offset >= start + size:
            break
        if extent.end > start:
            skip = max(0, start - extent.offset)
            at = max(0, extent.offset - start)
            for chunk in iter_chunks(slice_content(extent.content, skip, size - at)):
                found[at : at + len(chunk)] = chunk
                at += len(chunk)
    return bytes(found)


def seed_of(contents: Iterable[tuple[str, Content]]) -> bytes:
    """Return 32 bytes that stand for names and contents: serial numbers and UUIDs come from them.

    Contents are represented by their CRC-32, which most of them know: the numbers protect noextent.
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
