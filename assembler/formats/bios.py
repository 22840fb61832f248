"""What a BIOS boots: a volume with syslinux, kernel and initrd, and disks with it on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import Content, part_of, size_of, whole
from assembler.errors import OutputError
from assembler.formats.efi import need_kernel, too_small
from assembler.media import mark_of, mbr
from assembler.media.fat import FatFile, FatVolume
from assembler.media.syslinux import Syslinux, configuration

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly
    from assembler.formats.protocol import FormatOptions

KERNEL, INITRD = "kernel", "initrd.img"
ARCHITECTURES = frozenset({"amd64"})
LABEL = "DOLMEN"
_CONFIGURATION = "syslinux.cfg"
_MODULE = "ldlinux.c32"
_MIB = 1 << 20
# What boot loaders of this family take.
_LONGEST_LINE = 2047
# Kernel, boot loader and what the kernel unpacks itself to lie below the initrd.
_BELOW = 64 * _MIB
_HEADER = slice(0x202, 0x206)
# Where kernels say how far up an initrd may lie, if they say nothing else.
_USUAL_TOP = 0x37FFFFFF


@dataclass(frozen=True, slots=True)
class BiosSystem:
    """A system as a BIOS boots it."""

    kernel: Content
    initrd: Content
    cmdline: str
    # Stands for all of its content.
    mark: bytes

    def files(self, prefix: str = "") -> list[FatFile]:
        """Return kernel and initrd as they lie on a volume."""
        return [FatFile(prefix + KERNEL, self.kernel), FatFile(prefix + INITRD, self.initrd)]


def bios_system(assembly: Assembly, options: FormatOptions) -> BiosSystem:
    """Return the system, having seen that a boot loader can load it; once for all formats."""
    shared = options.shared
    if "bios" not in shared:
        kernel, initrd = need_kernel(assembly), assembly.initrd()
        check(kernel, size_of(initrd), assembly.cmdline)
        mark = mark_of([(KERNEL, kernel), (INITRD, initrd), ("cmdline", assembly.cmdline.encode())])
        shared["bios"] = BiosSystem(kernel, initrd, assembly.cmdline, mark)
    found = shared["bios"]
    if not isinstance(found, BiosSystem):
        raise TypeError("something else is shared under this name")
    return found


def check(kernel: Content, initrd_size: int, cmdline: str) -> None:
    """Refuse what syslinux and isolinux could not load."""
    head = whole(part_of(kernel, 0, 0x240)).ljust(0x240, b"\0")
    if head[_HEADER] != b"HdrS":
        raise OutputError.of(
            codes.CANNOT_LOAD,
            "a BIOS cannot boot the kernel: it is not a bzImage",
            "leave out --decompress-kernel, which leaves the bare kernel"
            if head.startswith(b"\x7fELF")
            else "take a kernel image whose kernel is a bzImage",
        )
    protocol, top, longest = (
        struct.unpack_from(kind, head, at)[0]
        for kind, at in (("<H", 0x206), ("<I", 0x22C), ("<I", 0x238))
    )
    top = top if protocol >= 0x203 and top else _USUAL_TOP
    if initrd_size > top - _BELOW:
        raise OutputError.of(
            codes.CANNOT_LOAD,
            f"the initrd has {initrd_size // _MIB} MiB: the kernel takes one of up to "
            f"{(top - _BELOW) // _MIB} MiB from a BIOS",
            "compress it better, with --compression zstd:19 or xz",
            "or choose a format whose root filesystem is not an initrd, as kernel+squashfs",
        )
    longest = min(longest or _LONGEST_LINE, _LONGEST_LINE) if protocol >= 0x206 else 255
    if len(cmdline.encode()) > longest:
        raise OutputError.of(
            codes.CANNOT_LOAD,
            f"the kernel's command line has {len(cmdline.encode())} bytes: there is room for "
            f"{longest} when a BIOS boots it",
            "shorten `cmdline`, or choose a format for UEFI",
        )


def volume(
    system: BiosSystem,
    options: FormatOptions,
    *,
    size: int | None = None,
    more: Sequence[FatFile] = (),
    label: str = LABEL,
) -> FatVolume:
    """Return a volume with syslinux that lies 1 MiB from the beginning of a disk."""
    assets = options.boot_files
    loader = Syslinux.of(assets.read("syslinux/syslinux"))
    files = [
        loader.file(),
        FatFile(_MODULE, assets.read(f"syslinux/{_MODULE}")),
        FatFile(_CONFIGURATION, configuration(system.cmdline)),
        *system.files(),
        *more,
    ]
    hidden = mbr.ALIGNMENT // mbr.SECTOR
    planned = FatVolume.plan(files, size=size, label=label, hidden_sectors=hidden, mark=system.mark)
    return loader.installed(planned)


def disk(system: BiosSystem, options: FormatOptions, size: int | None) -> mbr.MbrDisk:
    """Return a disk with the system on it, as small as it can be if no size is given."""
    smallest = volume(system, options)
    needed = mbr.ALIGNMENT + -(-smallest.size // _MIB) * _MIB
    if size is not None and size < needed:
        raise too_small(size, needed)
    found = volume(system, options, size=mbr.room(size or needed))
    code = options.boot_files.read("syslinux/mbr.bin")
    return mbr.MbrDisk(size or needed, found, code, system.mark)
