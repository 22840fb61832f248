"""Disks with an MBR and one partition, that a BIOS boots."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media.sparse_image import Extent, shifted_extents

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.media.fat import FatVolume

MBR_SECTOR = 512
MBR_ALIGNMENT = 1 << 20
# Sector counts have 32 bits.
MAX_MBR_SIZE = ((1 << 32) - 1) * MBR_SECTOR
_CODE = 440
_ACTIVE = 0x80
# The types with LBA: cylinders end at 8 GB.
_FAT32, _FAT = 0x0C, 0x0E
_LBA_ONLY = b"\xfe\xff\xff"


@dataclass(frozen=True, slots=True)
class MbrDisk:
    """A disk with a FAT volume and the boot code for it."""

    size: int
    volume: FatVolume
    boot_code: bytes
    # Its first bytes are the disk signature.
    seed: bytes

    def __post_init__(self) -> None:
        """Refuse a disk that the table cannot describe."""
        if self.size > MAX_MBR_SIZE:
            raise OutputError.of(
                codes.TOO_LARGE,
                "a BIOS reads disks of less than 2 TiB",
                "choose a smaller --size, or a format for UEFI",
            )

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        first, count = MBR_ALIGNMENT // MBR_SECTOR, self.volume.size // MBR_SECTOR
        kind = _FAT32 if self.volume.geometry.bits == 32 else _FAT
        entry = struct.pack("<B3sB3sII", _ACTIVE, _LBA_ONLY, kind, _LBA_ONLY, first, count)
        code = self.boot_code[:_CODE].ljust(_CODE, b"\0") + self.seed[:4] + bytes(2)
        yield Extent(0, code + entry + bytes(48) + magics.BOOT_SECTOR)
        yield from shifted_extents(self.volume, MBR_ALIGNMENT)


def mbr_partition_capacity(size: int) -> int:
    """Return the size of a partition that fills a disk."""
    return max(0, (size - MBR_ALIGNMENT) // MBR_SECTOR * MBR_SECTOR)
