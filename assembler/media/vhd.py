"""VHD, the disk format of Hyper-V and Azure: fixed (the disk and a footer) and dynamic.

A dynamic one keeps blocks of 2 MiB, those that hold something. The time in it is that of its epoch,
2000-01-01. It says it was made by QEMU's kind of program, since others are taken for programs whose
disks have the size their geometry says, which is not exact.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from assembler.codes import output as codes
from assembler.content import part_of, size_of
from assembler.errors import OutputError
from assembler.media.sparse_image import Placed, SparseImage, placed
from assembler.media.units import Run, count_of, located, runs_of

_MIB = 1 << 20
# Azure takes disks of whole MiB only.
_ALIGNMENT = _MIB
_BLOCK = 2 * _MIB
_SECTOR = 512
# The format's own limit, with room for its tables.
LARGEST = 2040 << 30
_FOOTER, _HEADER = 512, 1024
_FIXED, _DYNAMIC = 2, 3
_NOWHERE = (1 << 64) - 1
_UNUSED = (1 << 32) - 1
# One bit for each sector of a block: all of them are there.
_BITMAP = b"\xff" * (_BLOCK // _SECTOR // 8)


@dataclass(frozen=True, slots=True)
class FixedVhd:
    """A disk as a fixed VHD."""

    disk: SparseImage
    # 16 bytes or more that stand for the disk.
    mark: bytes

    @classmethod
    def of(cls, disk: SparseImage, mark: bytes) -> FixedVhd:
        """Take a disk that is not too large."""
        _check(disk.size)
        return cls(disk, mark)

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return _rounded(self.disk.size, _ALIGNMENT) + _FOOTER

    def placed(self) -> Iterator[Placed]:
        """Yield what is not zero."""
        yield from self.disk.placed()
        size = self.size - _FOOTER
        yield Placed(size, _footer(size, _FIXED, _NOWHERE, self.mark))


@dataclass(frozen=True, slots=True)
class DynamicVhd:
    """A disk as a dynamic VHD whose layout is decided."""

    disk: SparseImage
    mark: bytes
    _runs: tuple[Run, ...]

    @classmethod
    def of(cls, disk: SparseImage, mark: bytes) -> DynamicVhd:
        """Look where things lie on a disk, and lay them out."""
        _check(disk.size)
        return cls(disk, mark, runs_of(disk, _BLOCK))

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return self._block_at(count_of(self._runs)) + _FOOTER

    def placed(self) -> Iterator[Placed]:
        """Yield what is not zero."""
        footer = _footer(self._disk_size, _DYNAMIC, _FOOTER, self.mark)
        yield Placed(0, footer)
        yield Placed(_FOOTER, self._header())
        yield Placed(_FOOTER + _HEADER, self._table())
        # How many blocks have got their bitmap.
        begun = 0
        for thing, run in located(self.disk, self._runs, _BLOCK):
            done, size = 0, size_of(thing.content)
            while done < size:
                block, within = divmod(thing.offset + done, _BLOCK)
                index = run.index + block - run.first
                if index == begun:
                    yield Placed(self._block_at(index), _BITMAP)
                    begun += 1
                taken = min(_BLOCK - within, size - done)
                part = part_of(thing.content, done, taken)
                yield from placed(self._block_at(index) + len(_BITMAP) + within, part)
                done += taken
        yield Placed(self.size - _FOOTER, footer)

    @property
    def _disk_size(self) -> int:
        return _rounded(self.disk.size, _ALIGNMENT)

    @property
    def _entries(self) -> int:
        return -(-self._disk_size // _BLOCK)

    def _block_at(self, index: int) -> int:
        first = _FOOTER + _HEADER + _rounded(4 * self._entries, _SECTOR)
        return first + index * (len(_BITMAP) + _BLOCK)

    def _header(self) -> bytes:
        header = struct.pack(
            ">8sQQIII",
            *(b"cxsparse", _NOWHERE, _FOOTER + _HEADER, 0x10000, self._entries, _BLOCK),
        )
        return _summed(header.ljust(_HEADER, b"\0"), 36)

    def _table(self) -> bytes:
        entries = [_UNUSED] * self._entries
        for run in self._runs:
            for n in range(run.count):
                entries[run.first + n] = self._block_at(run.index + n) // _SECTOR
        packed = struct.pack(f">{len(entries)}I", *entries)
        return packed.ljust(_rounded(len(packed), _SECTOR), b"\xff")


def _check(size: int) -> None:
    if size > LARGEST:
        raise OutputError.of(
            codes.TOO_LARGE,
            f"a disk of {size} bytes is too large for VHD",
            f"it holds disks of up to {LARGEST >> 30} GiB: choose a smaller --size",
        )


def _rounded(number: int, unit: int) -> int:
    return -(-number // unit) * unit


def _footer(size: int, kind: int, header_at: int, mark: bytes) -> bytes:
    cylinders, heads, sectors = _geometry(size // _SECTOR)
    # A UUID of version 8: made as its maker likes.
    identity = bytearray(mark[:16])
    identity[6] = identity[6] & 0x0F | 0x80
    identity[8] = identity[8] & 0x3F | 0x80
    footer = struct.pack(
        ">8sIIQI4sI4sQQHBBII16sB",
        *(b"conectix", 2, 0x10000, header_at, 0, b"qem2", 0x50003, b"Wi2k", size, size),
        *(cylinders, heads, sectors, kind, 0, bytes(identity), 0),
    )
    return _summed(footer.ljust(_FOOTER, b"\0"), 64)


def _summed(data: bytes, at: int) -> bytes:
    return data[:at] + struct.pack(">I", ~sum(data) & 0xFFFFFFFF) + data[at + 4 :]


def _geometry(total: int) -> tuple[int, int, int]:
    """Return cylinders, heads and sectors as the specification computes them."""
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
