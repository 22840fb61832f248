"""VHD, the disk format of Hyper-V and Azure: fixed (the disk and a footer) and dynamic.

A dynamic VHD stores blocks of 2 MiB that hold content. Its time is its epoch, 2000-01-01. Its
creator field is that of QEMU: for others, readers take the size from the geometry, which is not
exact.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import content_size, slice_content
from assembler.errors import OutputError
from assembler.media.sparse_image import Extent, SparseImage, extents_of
from assembler.media.unit_runs import UnitRun, extents_with_runs, unit_count, unit_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

_MIB = 1 << 20
# Azure takes only disks of whole MiB.
_ALIGNMENT = _MIB
_BLOCK = 2 * _MIB
_SECTOR = 512
# The limit of the format, with room for its tables.
MAX_SIZE = 2040 << 30
_FOOTER, _HEADER = 512, 1024
_FIXED, _DYNAMIC = 2, 3
_NO_OFFSET = (1 << 64) - 1
_UNUSED_BLOCK = (1 << 32) - 1
# One bit for each sector of a block: all are present.
_BITMAP = b"\xff" * (_BLOCK // _SECTOR // 8)


@dataclass(frozen=True, slots=True)
class FixedVhd:
    """A disk as a fixed VHD."""

    disk: SparseImage
    # 16 bytes or more, from which its UUID is derived.
    seed: bytes

    @classmethod
    def plan(cls, disk: SparseImage, seed: bytes) -> FixedVhd:
        """Return the VHD of a disk, if it is not too large."""
        _check_size(disk.size)
        return cls(disk, seed)

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return _round_up(self.disk.size, _ALIGNMENT) + _FOOTER

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        yield from self.disk.extents()
        size = self.size - _FOOTER
        yield Extent(size, _footer(size, _FIXED, _NO_OFFSET, self.seed))


@dataclass(frozen=True, slots=True)
class DynamicVhd:
    """A disk as a dynamic VHD whose layout is decided."""

    disk: SparseImage
    seed: bytes
    _runs: tuple[UnitRun, ...]

    @classmethod
    def plan(cls, disk: SparseImage, seed: bytes) -> DynamicVhd:
        """Lay the blocks of a disk out."""
        _check_size(disk.size)
        return cls(disk, seed, unit_runs(disk, _BLOCK))

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return self._block_at(unit_count(self._runs)) + _FOOTER

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        footer = _footer(self._disk_size, _DYNAMIC, _FOOTER, self.seed)
        yield Extent(0, footer)
        yield Extent(_FOOTER, self._header())
        yield Extent(_FOOTER + _HEADER, self._table())
        # The number of blocks whose bitmap was yielded.
        begun = 0
        for thing, run in extents_with_runs(self.disk, self._runs, _BLOCK):
            done, size = 0, content_size(thing.content)
            while done < size:
                block, within = divmod(thing.offset + done, _BLOCK)
                index = run.index + block - run.first
                if index == begun:
                    yield Extent(self._block_at(index), _BITMAP)
                    begun += 1
                taken = min(_BLOCK - within, size - done)
                part = slice_content(thing.content, done, taken)
                yield from extents_of(self._block_at(index) + len(_BITMAP) + within, part)
                done += taken
        yield Extent(self.size - _FOOTER, footer)

    @property
    def _disk_size(self) -> int:
        return _round_up(self.disk.size, _ALIGNMENT)

    @property
    def _entries(self) -> int:
        return -(-self._disk_size // _BLOCK)

    def _block_at(self, index: int) -> int:
        first = _FOOTER + _HEADER + _round_up(4 * self._entries, _SECTOR)
        return first + index * (len(_BITMAP) + _BLOCK)

    def _header(self) -> bytes:
        header = struct.pack(
            ">8sQQIII",
            *(magics.VHD_DYNAMIC, _NO_OFFSET, _FOOTER + _HEADER, 0x10000, self._entries, _BLOCK),
        )
        return _with_checksum(header.ljust(_HEADER, b"\0"), 36)

    def _table(self) -> bytes:
        entries = [_UNUSED_BLOCK] * self._entries
        for run in self._runs:
            for n in range(run.count):
                entries[run.first + n] = self._block_at(run.index + n) // _SECTOR
        packed = struct.pack(f">{len(entries)}I", *entries)
        return packed.ljust(_round_up(len(packed), _SECTOR), b"\xff")


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise OutputError.of(
            codes.TOO_LARGE,
            f"a disk of {size} bytes is too large for VHD",
            f"it holds disks of up to {MAX_SIZE >> 30} GiB: choose a smaller --size",
        )


def _round_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _footer(size: int, kind: int, header_at: int, seed: bytes) -> bytes:
    cylinders, heads, sectors = _geometry(size // _SECTOR)
    # A UUID of version 8: a custom one.
    identity = bytearray(seed[:16])
    identity[6] = identity[6] & 0x0F | 0x80
    identity[8] = identity[8] & 0x3F | 0x80
    footer = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB",
        *(magics.VHD, 2, 0x10000, header_at, 0, b"qem2", 0x50003, b"Wi2k", size, size),
        *(cylinders, heads, sectors, kind, 0, bytes(identity), 0),
    )
    return _with_checksum(footer.ljust(_FOOTER, b"\0"), 64)


def _with_checksum(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack(">I", ~sum(data) & 0xFFFFFFFF) + data[at + 4 :]


def _geometry(total: int) -> tuple[int, int, int]:
    """Return cylinders, heads and sectors by the algorithm of the specification."""
    total = min(total, 65535 * 16 * 255)
    if total >= 65535 * 16 * 63:
        heads, sectors = 16, 255
    else:
        sectors = 17
        heads = max(4, -(-(total // sectors) // 1024))
        if total // sectors >= heads * 1024 or heads > 16:
            heads, sectors = 16, 31
        if total // sectors >= heads * 1024:
            heads, sectors = 16, 63
    return total // sectors // heads, heads, sectors
