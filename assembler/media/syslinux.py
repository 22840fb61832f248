"""syslinux on a FAT volume: the part of its installer that booting needs.

The installer contains a boot sector and `ldlinux.sys`. The boot sector gets the number of the first
sector of `ldlinux.sys`, and that sector gets the extents of the others, with a checksum.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from assembler import magics
from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media.fat import FAT_SECTOR, FatFile, FatVolume

NAME = "ldlinux.sys"
_READ_ONLY_HIDDEN_SYSTEM = 0x07
_SECTOR_MARK = b"\xeb\x58\x90SYSLINUX"
_LOADER_MARK = b"\r\nSYSLINUX "
_PATCH_MAGIC = 0x3EB202FE
# A module (ELF, 32 bits) follows ldlinux.sys in the installer.
_NEXT_FILE = magics.ELF + b"\x01\x01\x01"
_PATCH = struct.Struct("<IIHHIIHH")
_POINTERS = struct.Struct("<10H")
_EXTENT = struct.Struct("<QH")
# The auxiliary data vector: two sectors for one-time boot commands, empty.
_ADV = (struct.pack("<II", 0x5A2D2FA5, 0xA3041767) + bytes(500) + struct.pack("<I", 0xDD28BF64)) * 2
# The load address, and the boundary that no single read may cross.
_ADDRESS, _BOUNDARY = 0x8000, 0x10000


@dataclass(frozen=True, slots=True)
class Syslinux:
    """The parts of the boot loader that a volume gets."""

    sector: bytes
    loader: bytes

    @classmethod
    def of(cls, installer: bytes) -> Syslinux:
        """Return the parts in the installer of syslinux."""
        begin = installer.find(_LOADER_MARK)
        end = installer.find(_NEXT_FILE, begin)
        sector = installer.rfind(_SECTOR_MARK, 0, begin)
        size = (end - begin) // FAT_SECTOR * FAT_SECTOR
        if min(begin, end, sector) < 0 or _find_patch_area(installer[begin:end]) < 0 or not size:
            raise OutputError.of(
                codes.NO_BOOT_ASSET,
                "the syslinux of the boot loader image contains no boot sector",
                "leave out --bootloaders, or name an image with Debian's syslinux 6",
            )
        return cls(installer[sector : sector + FAT_SECTOR], installer[begin : begin + size])

    def file(self) -> FatFile:
        """Return the file to plan a volume with; `install` gives it its final content."""
        return FatFile(NAME, self.loader + _ADV, _READ_ONLY_HIDDEN_SYSTEM)

    def installed(self, volume: FatVolume) -> FatVolume:
        """Return a volume with the file as one that boots."""
        extent = volume.extent(NAME)
        loader = bytearray(self.loader + _ADV)
        at = _find_patch_area(loader)
        *_, pointers_at = _PATCH.unpack_from(loader, at)
        (advice, directory, directory_size, _, _, extents, most, low, high, _) = (
            _POINTERS.unpack_from(loader, pointers_at)
        )
        sector = bytearray(self.sector)
        struct.pack_into("<I", sector, low, extent.first & 0xFFFFFFFF)
        struct.pack_into("<I", sector, high, extent.first >> 32)
        sectors, words = len(self.loader) // FAT_SECTOR, len(self.loader) // 4
        struct.pack_into("<HHII", loader, at + 8, sectors, 2, words, 0)
        found = _loader_extents(extent.first + 1, sectors - 1)
        if len(found) >= most:
            raise ValueError("the loader has too little room for its extents")
        packed = b"".join(_EXTENT.pack(*e) for e in found)
        loader[extents : extents + most * _EXTENT.size] = packed.ljust(most * _EXTENT.size, b"\0")
        behind = extent.first + sectors
        struct.pack_into("<QQ", loader, advice, behind, behind + 1)
        loader[directory : directory + directory_size] = b"/".ljust(directory_size, b"\0")
        checksum = _PATCH_MAGIC - sum(struct.unpack_from(f"<{words}I", loader, 0))
        struct.pack_into("<I", loader, at + 16, checksum & 0xFFFFFFFF)
        return volume.with_contents({NAME: bytes(loader)}).with_boot_sector(bytes(sector))


def syslinux_config(cmdline: str, kernel: str = "/kernel", initrd: str = "/initrd.img") -> bytes:
    """Return a configuration (syslinux.cfg, isolinux.cfg) that boots at once."""
    lines = ["DEFAULT linux", "LABEL linux", f"    KERNEL {kernel}", f"    INITRD {initrd}"]
    words = " ".join(cmdline.splitlines()).strip()
    lines += [f"    APPEND {words}"] if words else []
    return "\n".join([*lines, ""]).encode()


def _find_patch_area(loader: bytes | bytearray) -> int:
    return loader.find(struct.pack("<I", _PATCH_MAGIC))


def _loader_extents(first: int, count: int) -> list[tuple[int, int]]:
    """Return the extents of contiguous sectors, each of which one read can load."""
    found = []
    address = _ADDRESS + FAT_SECTOR
    while count:
        taken = min(count, (_BOUNDARY - address % _BOUNDARY) // FAT_SECTOR)
        found.append((first, taken))
        first += taken
        count -= taken
        address += taken * FAT_SECTOR
    return found
