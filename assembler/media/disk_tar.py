"""A disk as `disk.raw` in a gzip'd tar archive, as Google's cloud imports it.

The archive has the old format of GNU tar with a map of the extents, as `tar -S` writes it: holes
are neither written nor compressed.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from assembler.content import iter_chunks
from assembler.media.deflate import gzip_blocks
from assembler.media.sparse_image import Extent, SparseImage, image_pieces
from assembler.media.unit_runs import UnitRun, compacted_extents, unit_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAME = b"disk.raw"
_BLOCK = 512
_UNIT = 4096
_IN_HEADER, _IN_BLOCK = 4, 21


def write_disk_tar(disk: SparseImage, out: IO[bytes]) -> None:
    """Write the archive to a file or stream."""
    for data in gzip_blocks(_archive_pieces(disk)):
        out.write(data)


def _archive_pieces(disk: SparseImage) -> Iterator[bytes]:
    runs = unit_runs(disk, _UNIT)
    found = _sparse_map(runs, disk.size)
    kept = sum(size for _, size in found)
    yield _header(found, disk.size, kept)
    for begin in range(_IN_HEADER, len(found), _IN_BLOCK):
        entries = b"".join(_map_entry(*e) for e in found[begin : begin + _IN_BLOCK])
        more = begin + _IN_BLOCK < len(found)
        yield (entries.ljust(_IN_BLOCK * 24, b"\0") + bytes([more])).ljust(_BLOCK, b"\0")
    for piece in image_pieces(_CompactedDisk(disk, runs, kept)):
        yield from iter_chunks(piece)
    # The padding of the file, and two blocks of zeros that end the archive.
    yield bytes(-kept % _BLOCK + 2 * _BLOCK)


class _CompactedDisk:
    """The content of a disk without its holes."""

    def __init__(self, disk: SparseImage, runs: tuple[UnitRun, ...], size: int) -> None:
        self._disk = disk
        self._runs = runs
        self.size = size

    def extents(self) -> Iterator[Extent]:
        return compacted_extents(self._disk, self._runs, _UNIT)


def _sparse_map(runs: Iterable[UnitRun], size: int) -> list[tuple[int, int]]:
    found = [(r.first * _UNIT, min(r.end * _UNIT, size) - r.first * _UNIT) for r in runs]
    if not found or sum(found[-1]) < size:
        found.append((size, 0))
    return found


def _header(found: list[tuple[int, int]], size: int, kept: int) -> bytes:
    extended = len(found) > _IN_HEADER
    entries = b"".join(_map_entry(*e) for e in found[:_IN_HEADER])
    before = NAME.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + _tar_number(kept)
    behind = b"S".ljust(101, b"\0") + b"ustar  \0" + bytes(121)
    behind += entries.ljust(_IN_HEADER * 24, b"\0") + bytes([extended]) + _tar_number(size)
    whole = (before + _tar_number(0) + b" " * 8 + behind).ljust(_BLOCK, b"\0")
    checksum = b"%06o\0 " % sum(whole)
    return whole[:148] + checksum + whole[156:]


def _map_entry(offset: int, size: int) -> bytes:
    return _tar_number(offset) + _tar_number(size)


def _tar_number(value: int) -> bytes:
    """Return the twelve bytes of a number: octal digits, or binary above 8 GiB."""
    if value < 1 << 33:
        return b"%011o\0" % value
    return b"\x80" + value.to_bytes(11, "big")
