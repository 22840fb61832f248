"""ISO volumes that boot, as CDs and as disks or USB sticks.

For a BIOS they have isolinux, which reads kernel and initrd from the volume; for UEFI a FAT volume
as the last file of the ISO volume, with a unified kernel image, or with systemd-boot and the kernel
and initrd. What lies on the FAT volume is named on the ISO volume as well, and there once.

The system is the initrd; or, if the command line names a root filesystem (`root=`), it lies on the
ISO volume as files, and the initrd only leads there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, cast

from assembler.codes import output as codes
from assembler.encode.assembly import Assembly
from assembler.errors import OutputError, wrap_os_errors
from assembler.formats import bios, efi, hybrid
from assembler.formats.iso_tree import iso_entries
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.root_volume import require_early_initrd
from assembler.formats.writing import write_medium
from assembler.helper_images.catalog import BOOTLOADERS
from assembler.media.fat import SECTOR as FAT_SECTOR
from assembler.media.fat import FatVolume
from assembler.media.iso import SECTOR, FileSlice, IsoBoot, IsoEntry, IsoVolume, regular_file
from assembler.media.sparse_image import image_content, seed_of
from assembler.media.syslinux import syslinux_config
from assembler.rootfs.plan import STANDARD_TIME, Plan

LABEL = "DOLMEN"
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_EFI_IMAGE = "boot/efi.img"
_ISOLINUX = "isolinux"
_LOADER = f"{_ISOLINUX}/isolinux.bin"
_MODULE = "ldlinux.c32"


def _isolinux_files(options: FormatOptions, assembly: Assembly) -> list[IsoEntry]:
    assets, folder = options.boot_files, _kernel_folder(assembly)
    text = syslinux_config(assembly.cmdline, f"/{folder}{bios.KERNEL}", f"/{folder}{bios.INITRD}")
    files = {
        _LOADER: assets.read("syslinux/isolinux.bin"),
        f"{_ISOLINUX}/{_MODULE}": assets.read(f"syslinux/{_MODULE}"),
        f"{_ISOLINUX}/isolinux.cfg": text,
    }
    return [regular_file(path, content, STANDARD_TIME) for path, content in files.items()]


def _iso_boot(options: FormatOptions, *, for_bios: bool, for_efi: bool) -> IsoBoot:
    return IsoBoot(
        bios=_LOADER.encode() if for_bios else b"",
        mbr=options.boot_files.read("syslinux/isohdpfx.bin") if for_bios else b"",
        efi=_EFI_IMAGE.encode() if for_efi else b"",
    )


@dataclass(frozen=True, slots=True)
class _IsoContents:
    """What is on a volume besides a root filesystem, and how it boots."""

    entries: tuple[IsoEntry, ...]
    boot: IsoBoot
    seed: bytes


_ContentsFunction = Callable[[Assembly, FormatOptions], _IsoContents]


def _bios_contents(assembly: Assembly, options: FormatOptions) -> _IsoContents:
    system = bios.bios_system(assembly, options)
    entries = (*_isolinux_files(options, assembly), *_kernel_files(system, assembly))
    return _IsoContents(entries, _iso_boot(options, for_bios=True, for_efi=False), system.seed)


def _efi_contents(assembly: Assembly, options: FormatOptions) -> _IsoContents:
    system = efi.efi_system(assembly, options)
    image = regular_file(_EFI_IMAGE, image_content(system.volume()), STANDARD_TIME)
    return _IsoContents((image,), _iso_boot(options, for_bios=False, for_efi=True), system.seed)


def _efi_initrd_contents(assembly: Assembly, options: FormatOptions) -> _IsoContents:
    if options.signer is not None:
        raise OutputError.of(
            codes.BAD_FORMAT,
            "the format iso-efi-initrd cannot be signed: its initrd lies beside the kernel, where "
            "no signature covers it",
            "choose iso-efi, whose signature covers everything",
        )
    return _shared_initrd_contents(assembly, options, with_bios=False)


def _hybrid_contents(assembly: Assembly, options: FormatOptions) -> _IsoContents:
    system = bios.bios_system(assembly, options)
    if options.signer is None:
        return _shared_initrd_contents(assembly, options, with_bios=True)
    # Signed with the initrd in it; the BIOS reads its own.
    program = efi.efi_system(assembly, options)
    entries = (
        *_isolinux_files(options, assembly),
        *_kernel_files(system, assembly),
        regular_file(_EFI_IMAGE, image_content(program.volume()), STANDARD_TIME),
    )
    return _IsoContents(entries, _iso_boot(options, for_bios=True, for_efi=True), program.seed)


def _shared_initrd_contents(
    assembly: Assembly, options: FormatOptions, *, with_bios: bool
) -> _IsoContents:
    system = bios.BiosSystem(
        efi.required_kernel(assembly), assembly.initrd(), assembly.cmdline, b""
    )
    files = [*hybrid.systemd_boot_files(assembly, options), *system.files()]
    seed = seed_of((f.path, f.content) for f in files)
    volume = FatVolume.plan(files, label=efi.LABEL, seed=seed, alignment=SECTOR // FAT_SECTOR)
    entries = (
        *(_isolinux_files(options, assembly) if with_bios else ()),
        *(_slice_of_fat(volume, f.path, f.size, _kernel_folder(assembly)) for f in system.files()),
        regular_file(_EFI_IMAGE, image_content(volume), STANDARD_TIME),
    )
    return _IsoContents(entries, _iso_boot(options, for_bios=with_bios, for_efi=True), seed)


def _kernel_files(system: bios.BiosSystem, assembly: Assembly) -> Iterator[IsoEntry]:
    for file in system.files(_kernel_folder(assembly)):
        yield regular_file(file.path, file.content, STANDARD_TIME)


def _slice_of_fat(volume: FatVolume, path: str, size: int, folder: str) -> IsoEntry:
    """Return a file of the FAT volume as one of the ISO volume."""
    offset = volume.extent(path).first * FAT_SECTOR
    return regular_file(folder + path, FileSlice(_EFI_IMAGE.encode(), offset, size), STANDARD_TIME)


def has_root(assembly: Assembly) -> bool:
    """Tell whether the command line names a root filesystem, which then is the volume itself."""
    return any(word.startswith("root=") for word in assembly.cmdline.split())


def _kernel_folder(assembly: Assembly) -> str:
    """Return where kernel and initrd lie: where a root filesystem has its own."""
    return "boot/" if has_root(assembly) else ""


def _root_volume(
    make: _ContentsFunction,
    assembly: Assembly,
    options: FormatOptions,
    fresh: IO[bytes],
    stack: ExitStack,
) -> IsoVolume:
    """Return a volume that holds the root filesystem, and an initrd that only leads there."""
    small = require_early_initrd(assembly, "iso9660")
    # Without one the kernel goes on to the root filesystem by itself, the initrd being empty.
    empty = Plan(assembly.plan.architecture, (), assembly.plan.boot)
    way = Assembly(small.plan if small else empty, assembly.store, assembly.options)
    contents = make(stack.enter_context(way), replace(options, shared={}))
    return _plan_volume(contents, iso_entries(assembly, fresh))


def _plan_volume(contents: _IsoContents, tree: Iterable[IsoEntry] = ()) -> IsoVolume:
    return IsoVolume.plan(
        chain(tree, contents.entries),
        label=LABEL,
        seed=contents.seed,
        boot=contents.boot,
        mtime=STANDARD_TIME,
    )


def _format(
    name: str,
    description: str,
    suffix: str,
    make: _ContentsFunction,
    architectures: frozenset[str],
    *,
    may_have_root: bool = True,
) -> Format:
    def check(assembly: Assembly, options: FormatOptions) -> None:
        if may_have_root and has_root(assembly):
            require_early_initrd(assembly, "iso9660")
        else:
            options.shared[name] = _plan_volume(make(assembly, options))

    def write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        path = target.path(suffix)
        if not (may_have_root and has_root(assembly)):
            volume = cast("IsoVolume", options.shared[name])
            return [write_medium(name, "iso", path, volume)]
        with ExitStack() as stack, wrap_os_errors(target.directory):
            fresh = stack.enter_context(tempfile.TemporaryFile(dir=target.directory))
            volume = _root_volume(make, assembly, options, fresh, stack)
            return [write_medium(name, "iso", path, volume)]

    return Format(
        name=name,
        description=description,
        suffixes={"iso": suffix},
        write=write,
        # The initrd is made when it turns out that there is one.
        needs=Needs(boot=True, helpers=frozenset({BOOTLOADERS})),
        architectures=architectures,
        needs_kernel=True,
        check=check,
    )


ISO_BIOS = _format(
    "iso-bios", "a CD or USB stick that a BIOS boots", ".iso", _bios_contents, bios.ARCHITECTURES
)
ISO_EFI = _format(
    "iso-efi", "a CD or USB stick that UEFI boots", "-efi.iso", _efi_contents, _ARCHITECTURES
)
ISO_EFI_INITRD = _format(
    "iso-efi-initrd",
    "the same with kernel and initrd as files",
    "-efi-initrd.iso",
    _efi_initrd_contents,
    _ARCHITECTURES,
    may_have_root=False,
)
ISO = _format(
    "iso",
    "a CD or USB stick that both a BIOS and UEFI boot",
    "-hybrid.iso",
    _hybrid_contents,
    hybrid.ARCHITECTURES,
)
