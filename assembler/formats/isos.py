"""ISO volumes that boot a kernel with an initrd, as CDs and as disks or USB sticks.

For a BIOS they have isolinux, which reads kernel and initrd from the volume; for UEFI a FAT volume
as the last file of the ISO volume, with a unified kernel image, or with systemd-boot and the kernel
and initrd. What lies on the FAT volume is named on the ISO volume as well, and there once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.formats import bios, efi, hybrid
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_medium
from assembler.media.fat import SECTOR as FAT_SECTOR
from assembler.media.fat import FatVolume
from assembler.media.iso import SECTOR, Boot, IsoEntry, IsoVolume, Within, regular
from assembler.media.medium import content_of, mark_of
from assembler.media.syslinux import configuration
from assembler.rootfs.plan import STANDARD_TIME

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly

LABEL = "DOLMEN"
_MACHINES = frozenset({"amd64", "arm64"})
_EFI_IMAGE = "boot/efi.img"
_FOLDER = "isolinux"
_LOADER = f"{_FOLDER}/isolinux.bin"
_MODULE = "ldlinux.c32"


def _isolinux(options: FormatOptions, cmdline: str) -> list[IsoEntry]:
    assets = options.boot_assets
    files = {
        _LOADER: assets.read("syslinux/isolinux.bin"),
        f"{_FOLDER}/{_MODULE}": assets.read(f"syslinux/{_MODULE}"),
        f"{_FOLDER}/isolinux.cfg": configuration(cmdline),
    }
    return [regular(path, content, STANDARD_TIME) for path, content in files.items()]


def _boot(options: FormatOptions, *, for_bios: bool, for_efi: bool) -> Boot:
    return Boot(
        bios=_LOADER.encode() if for_bios else b"",
        mbr=options.boot_assets.read("syslinux/isohdpfx.bin") if for_bios else b"",
        efi=_EFI_IMAGE.encode() if for_efi else b"",
    )


def _volume(entries: Sequence[IsoEntry], boot: Boot, mark: bytes) -> IsoVolume:
    return IsoVolume.plan(entries, label=LABEL, mark=mark, boot=boot, mtime=STANDARD_TIME)


def for_bios(assembly: Assembly, options: FormatOptions) -> IsoVolume:
    """Return a volume that a BIOS boots."""
    system = bios.bios_system(assembly, options)
    entries = [
        *_isolinux(options, system.cmdline),
        regular(bios.KERNEL, system.kernel, STANDARD_TIME),
        regular(bios.INITRD, system.initrd, STANDARD_TIME),
    ]
    return _volume(entries, _boot(options, for_bios=True, for_efi=False), system.mark)


def for_efi(assembly: Assembly, options: FormatOptions) -> IsoVolume:
    """Return a volume that UEFI boots, everything in one program."""
    system = efi.efi_system(assembly, options)
    image = regular(_EFI_IMAGE, content_of(system.volume()), STANDARD_TIME)
    return _volume([image], _boot(options, for_bios=False, for_efi=True), system.mark)


def for_efi_with_initrd(assembly: Assembly, options: FormatOptions) -> IsoVolume:
    """Return a volume that UEFI boots, kernel and initrd beside the boot loader."""
    if options.signer is not None:
        raise OutputError.of(
            codes.BAD_FORMAT,
            "the format iso-efi-initrd cannot be signed: its initrd lies beside the kernel, where "
            "no signature covers it",
            "choose iso-efi, whose signature covers everything",
        )
    return _beside(assembly, options, with_bios=False)


def for_both(assembly: Assembly, options: FormatOptions) -> IsoVolume:
    """Return a volume that both boot."""
    bios.bios_system(assembly, options)
    if options.signer is None:
        return _beside(assembly, options, with_bios=True)
    # Signed with the initrd in it; the BIOS reads its own.
    system, program = bios.bios_system(assembly, options), efi.efi_system(assembly, options)
    entries = [
        *_isolinux(options, system.cmdline),
        regular(bios.KERNEL, system.kernel, STANDARD_TIME),
        regular(bios.INITRD, system.initrd, STANDARD_TIME),
        regular(_EFI_IMAGE, content_of(program.volume()), STANDARD_TIME),
    ]
    return _volume(entries, _boot(options, for_bios=True, for_efi=True), program.mark)


def _beside(assembly: Assembly, options: FormatOptions, *, with_bios: bool) -> IsoVolume:
    system = bios.BiosSystem(efi.need_kernel(assembly), assembly.initrd(), assembly.cmdline, b"")
    files = [*hybrid.loader_files(assembly, options), *system.files()]
    mark = mark_of((f.path, f.content) for f in files)
    volume = FatVolume.plan(files, label=efi.LABEL, mark=mark, alignment=SECTOR // FAT_SECTOR)
    entries = [
        *(_isolinux(options, system.cmdline) if with_bios else ()),
        *(_named(volume, f.path, f.size) for f in system.files()),
        regular(_EFI_IMAGE, content_of(volume), STANDARD_TIME),
    ]
    return _volume(entries, _boot(options, for_bios=with_bios, for_efi=True), mark)


def _named(volume: FatVolume, path: str, size: int) -> IsoEntry:
    """Return a file of the FAT volume as one of the ISO volume."""
    offset = volume.extent(path).first * FAT_SECTOR
    return regular(path, Within(_EFI_IMAGE.encode(), offset, size), STANDARD_TIME)


def _format(
    name: str,
    description: str,
    suffix: str,
    make: Callable[[Assembly, FormatOptions], IsoVolume],
    architectures: frozenset[str],
) -> Format:
    def write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        volume = make(assembly, options)
        return [write_medium(name, "iso", target.path(suffix), volume)]

    return Format(
        name=name,
        description=description,
        suffixes={"iso": suffix},
        write=write,
        needs=Needs(initrd=True, boot=True, assets=True),
        architectures=architectures,
        needs_kernel=True,
    )


ISO_BIOS = _format(
    "iso-bios", "a CD or USB stick that a BIOS boots", ".iso", for_bios, bios.ARCHITECTURES
)
ISO_EFI = _format("iso-efi", "a CD or USB stick that UEFI boots", "-efi.iso", for_efi, _MACHINES)
ISO_EFI_INITRD = _format(
    "iso-efi-initrd",
    "the same with kernel and initrd as files",
    "-efi-initrd.iso",
    for_efi_with_initrd,
    _MACHINES,
)
ISO = _format(
    "iso",
    "a CD or USB stick that both a BIOS and UEFI boot",
    "-hybrid.iso",
    for_both,
    hybrid.ARCHITECTURES,
)
