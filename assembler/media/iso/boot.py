"""Booting from an ISO volume: El Torito for CDs, and an MBR for disks.

The MBR has one partition for UEFI and one for the rest. They do not overlap: strict firmware
ignores tables with overlapping partitions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from assembler import magics
from assembler.media.iso.rock_ridge import ISO_SECTOR

_BLOCK = 512
_PER_SECTOR = ISO_SECTOR // _BLOCK
_BIOS, _EFI = 0x00, 0xEF
_BOOTABLE = 0x88
# The firmware loads the first blocks of isolinux, which loads the rest by itself.
_ISOLINUX_BLOCKS = 4
_MAX_BLOCKS = 0xFFFF
_INFO_AT, _INFO_SIZE = 8, 56
_CODE, _CODE_END = 432, 440
# Operating systems ignore partitions of this type (hidden NTFS).
_TYPE_DATA, _TYPE_EFI = 0x17, 0xEF
# Cylinder, head and sector of what only LBA can say: the usual values, and those of the second
# partition. With the usual ones there, pycdlib takes the volume for one with a GPT of isohybrid.
_LBA_ONLY, _LBA_ONLY_EFI = b"\xfe\xff\xff", b"\xff\xff\xff"


@dataclass(frozen=True, slots=True)
class IsoBoot:
    """The files of a volume that machines boot."""

    # The path of isolinux.bin.
    bios: bytes = b""
    # Boot code (isohdpfx.bin) for the MBR, with which a BIOS boots the volume as a disk.
    mbr: bytes = b""
    # The path of a FAT volume for UEFI: the last file of the volume.
    efi: bytes = b""


@dataclass(frozen=True, slots=True)
class IsoBootImage:
    """The first sector of a boot image, and its size in bytes."""

    sector: int
    size: int

    @property
    def blocks(self) -> int:
        """Return its size in blocks of 512 bytes."""
        return -(-self.size // _BLOCK)


def boot_record(boot_catalog: int) -> bytes:
    """Return the volume descriptor that names the sector of the catalog."""
    return struct.pack("<B5sB32s32xI", 0, magics.ISO_9660, 1, magics.EL_TORITO, boot_catalog)


def boot_catalog(bios: IsoBootImage | None, efi: IsoBootImage | None) -> bytes:
    """Return the boot catalog."""
    first = _BIOS if bios else _EFI
    head = struct.pack("<BBH24sHBB", 1, first, 0, b"", 0, 0x55, 0xAA)
    total = -sum(struct.unpack("<16H", head)) & 0xFFFF
    found = head[:28] + struct.pack("<H", total) + head[30:]
    if bios:
        found += _catalog_entry(bios, _ISOLINUX_BLOCKS)
    if efi:
        if bios:
            # The last header, with one entry.
            found += struct.pack("<BBH28x", 0x91, _EFI, 1)
        # The size of images of 32 MiB and more does not fit. For 0, firmware takes the rest of the
        # volume, so the image is the last file on it.
        found += _catalog_entry(efi, efi.blocks if efi.blocks <= _MAX_BLOCKS else 0)
    return found.ljust(ISO_SECTOR, b"\0")


def _catalog_entry(image: IsoBootImage, blocks: int) -> bytes:
    return struct.pack("<BBHBBHI20x", _BOOTABLE, 0, 0, 0, 0, blocks, image.sector)


def with_boot_info_table(loader: bytes, sector: int, descriptors: int) -> bytes:
    """Return isolinux.bin with its boot information table, which names its sectors."""
    padded = loader + bytes(-len(loader) % 4)
    words = struct.unpack_from(f"<{(len(padded) - 64) // 4}I", padded, 64)
    info = struct.pack("<IIII", descriptors, sector, len(loader), sum(words) & 0xFFFFFFFF)
    return loader[:_INFO_AT] + info.ljust(_INFO_SIZE, b"\0") + loader[_INFO_AT + _INFO_SIZE :]


def master_boot_record(
    boot: IsoBoot, seed: bytes, bios: IsoBootImage | None, efi: IsoBootImage | None, end: int
) -> bytes:
    """Return the MBR of a volume of `end` sectors."""
    code = boot.mbr[:_CODE].ljust(_CODE, b"\0")
    # The boot code reads the first block of isolinux.bin from here.
    code += struct.pack("<Q", bios.sector * _PER_SECTOR if bios else 0)
    begins = 16 * _PER_SECTOR
    ends = (efi.sector if efi else end) * _PER_SECTOR
    active = 0x80 if bios else 0
    table = _partition_entry(active, _TYPE_DATA, _LBA_ONLY, begins, ends - begins)
    if efi:
        table += _partition_entry(0, _TYPE_EFI, _LBA_ONLY_EFI, ends, efi.blocks)
    return code + seed[:4] + bytes(2) + table.ljust(64, b"\0") + magics.BOOT_SECTOR


def _partition_entry(active: int, kind: int, chs: bytes, first: int, count: int) -> bytes:
    return struct.pack("<B3sB3sII", active, chs, kind, chs, first, count)
