"""Systems for a BIOS: a volume with syslinux, kernel and initrd, and disks with it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import Content, content_size, read_content, slice_content
from assembler.errors import OutputError
from assembler.formats.efi import disk_too_small, required_kernel
from assembler.formats.systems import INITRD, KERNEL, BiosSystem
from assembler.media import (
    MBR_ALIGNMENT,
    MBR_SECTOR,
    FatFile,
    FatVolume,
    MbrDisk,
    Syslinux,
    mbr_partition_capacity,
    seed_of,
    syslinux_config,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.encode import Assembly
    from assembler.formats.protocol import FormatOptions

ARCHITECTURES = frozenset({"amd64"})
LABEL = "DOLMEN"
_CONFIGURATION = "syslinux.cfg"
_MODULE = "ldlinux.c32"
_MIB = 1 << 20
# The limit of syslinux and isolinux.
_MAX_CMDLINE = 2047
# Below the initrd lie the kernel, the boot loader, and what the kernel decompresses to.
_RESERVED_BELOW = 64 * _MIB
# The highest address of an initrd for kernels that name none.
_DEFAULT_TOP = 0x37FFFFFF


def bios_system(assembly: Assembly, options: FormatOptions) -> BiosSystem:
    """Return the system, if a boot loader can load it; it is made once for all formats of a run."""
    cache = options.cache
    if cache.bios_system is None:
        kernel, initrd = required_kernel(assembly), assembly.initrd()
        check_bios_limits(kernel, content_size(initrd), assembly.cmdline)
        parts = [(KERNEL, kernel), (INITRD, initrd), ("cmdline", assembly.cmdline.encode())]
        cache.bios_system = BiosSystem(kernel, initrd, assembly.cmdline, seed_of(parts))
    return cache.bios_system


def check_bios_limits(kernel: Content, initrd_size: int, cmdline: str) -> None:
    """Refuse what syslinux and isolinux cannot load."""
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
            f"the kernel's command line is {len(cmdline.encode())} bytes long; the limit for BIOS "
            f"boot is {longest}",
            "shorten `cmdline`, or choose a format for UEFI",
        )


def bios_volume(
    system: BiosSystem,
    options: FormatOptions,
    *,
    size: int | None = None,
    extra: Sequence[FatFile] = (),
    label: str = LABEL,
) -> FatVolume:
    """Return a volume with syslinux for a partition that begins at 1 MiB."""
    assets = options.boot_files
    loader = Syslinux.of(assets.read("syslinux/syslinux"))
    files = [
        loader.file(),
        FatFile(_MODULE, assets.read(f"syslinux/{_MODULE}")),
        FatFile(_CONFIGURATION, syslinux_config(system.cmdline)),
        *system.files(),
        *extra,
    ]
    hidden = MBR_ALIGNMENT // MBR_SECTOR
    planned = FatVolume.plan(files, size=size, label=label, hidden_sectors=hidden, seed=system.seed)
    return loader.installed(planned)


def bios_disk(system: BiosSystem, options: FormatOptions, size: int | None) -> MbrDisk:
    """Return a disk with the system, as small as possible if no size is given."""
    smallest = bios_volume(system, options)
    needed = MBR_ALIGNMENT + -(-smallest.size // _MIB) * _MIB
    if size is not None and size < needed:
        raise disk_too_small(size, needed)
    found = bios_volume(system, options, size=mbr_partition_capacity(size or needed))
    code = options.boot_files.read("syslinux/mbr.bin")
    return MbrDisk(size or needed, found, code, system.seed)
