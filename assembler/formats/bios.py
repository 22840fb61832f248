"""What a BIOS boots: a volume with syslinux, kernel and initrd, and disks with it on."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import Content, content_size, read_content, slice_content
from assembler.errors import OutputError
from assembler.formats.efi import disk_too_small, required_kernel
from assembler.media import mbr, seed_of
from assembler.media.fat import FatFile, FatVolume
from assembler.media.syslinux import Syslinux, syslinux_config

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
_MAX_CMDLINE = 2047
# Kernel, boot loader and what the kernel unpacks itself to lie below the initrd.
_RESERVED_BELOW = 64 * _MIB
# Where kernels say how far up an initrd may lie, if they say nothing else.
_DEFAULT_TOP = 0x37FFFFFF


@dataclass(frozen=True, slots=True)
class BiosSystem:
    """A system as a BIOS boots it."""

    kernel: Content
    initrd: Content
    cmdline: str
    # Stands for all of its content.
    seed: bytes

    def files(self, prefix: str = "") -> list[FatFile]:
        """Return kernel and initrd as they lie on a volume."""
        return [FatFile(prefix + KERNEL, self.kernel), FatFile(prefix + INITRD, self.initrd)]


def bios_system(assembly: Assembly, options: FormatOptions) -> BiosSystem:
    """Return the system, having seen that a boot loader can load it; once for all formats."""
    shared = options.shared
    if "bios" not in shared:
        kernel, initrd = required_kernel(assembly), assembly.initrd()
        check_bios_limits(kernel, content_size(initrd), assembly.cmdline)
        seed = seed_of([(KERNEL, kernel), (INITRD, initrd), ("cmdline", assembly.cmdline.encode())])
        shared["bios"] = BiosSystem(kernel, initrd, assembly.cmdline, seed)
    found = shared["bios"]
    if not isinstance(found, BiosSystem):
        raise TypeError("something else is shared under this name")
    return found


def check_bios_limits(kernel: Content, initrd_size: int, cmdline: str) -> None:
    """Refuse what syslinux and isolinux could not load."""
    head = read_content(slice_content(kernel, 0, 0x240)).ljust(0x240, b"\0")
    if not magics.is_bzimage(head):
        raise OutputError.of(
            codes.LOADER_LIMIT,
            "a BIOS cannot boot the kernel: it is not a bzImage",
            "leave out --decompress-kernel, which leaves the bare kernel"
            if head.startswith(magics.ELF)
            else "take a kernel image whose kernel is a bzImage",
        )
    protocol, top, longest = (
        struct.unpack_from(kind, head, at)[0]
        for kind, at in (("<H", 0x206), ("<I", 0x22C), ("<I", 0x238))
    )
    top = top if protocol >= 0x203 and top else _DEFAULT_TOP
    if initrd_size > top - _RESERVED_BELOW:
        raise OutputError.of(
            codes.LOADER_LIMIT,
            f"the initrd has {initrd_size // _MIB} MiB: the kernel takes one of up to "
            f"{(top - _RESERVED_BELOW) // _MIB} MiB from a BIOS",
            "compress it better, with --compression zstd:19 or xz",
            "or choose a format whose root filesystem is not an initrd, as kernel+squashfs",
        )
    longest = min(longest or _MAX_CMDLINE, _MAX_CMDLINE) if protocol >= 0x206 else 255
    if len(cmdline.encode()) > longest:
        raise OutputError.of(
            codes.LOADER_LIMIT,
            f"the kernel's command line has {len(cmdline.encode())} bytes: there is room for "
            f"{longest} when a BIOS boots it",
            "shorten `cmdline`, or choose a format for UEFI",
        )


def bios_volume(
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
        FatFile(_CONFIGURATION, syslinux_config(system.cmdline)),
        *system.files(),
        *more,
    ]
    hidden = mbr.ALIGNMENT // mbr.SECTOR
    planned = FatVolume.plan(files, size=size, label=label, hidden_sectors=hidden, seed=system.seed)
    return loader.installed(planned)


def bios_disk(system: BiosSystem, options: FormatOptions, size: int | None) -> mbr.MbrDisk:
    """Return a disk with the system on it, as small as it can be if no size is given."""
    smallest = bios_volume(system, options)
    needed = mbr.ALIGNMENT + -(-smallest.size // _MIB) * _MIB
    if size is not None and size < needed:
        raise disk_too_small(size, needed)
    found = bios_volume(system, options, size=mbr.partition_capacity(size or needed))
    code = options.boot_files.read("syslinux/mbr.bin")
    return mbr.MbrDisk(size or needed, found, code, system.seed)
