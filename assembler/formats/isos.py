"""ISO volumes that boot as CDs, disks and USB sticks.

For a BIOS they have isolinux, which reads kernel and initrd from the volume. For UEFI the last file
of the ISO volume is a FAT volume with a unified kernel image, or with systemd-boot, kernel and
initrd; these two are files of the ISO volume as well, and stored once.

The system is the initrd. If the command line names a root filesystem (`root=`), the system is the
files of the ISO volume, and an early initrd mounts it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from itertools import chain
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode import Assembly
from assembler.errors import OutputError, wrap_os_errors
from assembler.formats import bios, efi, hybrid
from assembler.formats.iso_tree import iso_entries
from assembler.formats.outputs import write_sparse
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.root_volume import require_early_initrd
from assembler.formats.run_cache import RunCache
from assembler.formats.systems import EFI_LABEL, INITRD, KERNEL, BiosSystem
from assembler.helper_images import BOOTLOADERS
from assembler.media import (
    FAT_SECTOR,
    ISO_SECTOR,
    FatVolume,
    FileSlice,
    IsoBoot,
    IsoEntry,
    IsoVolume,
    image_content,
    regular_file,
    seed_of,
    syslinux_config,
)
from assembler.rootfs import STANDARD_TIME, Plan
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.formats.written_output import Output

LABEL = "DOLMEN"
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_EFI_IMAGE = "boot/efi.img"
_ISOLINUX = "isolinux"
_LOADER = f"{_ISOLINUX}/isolinux.bin"
_MODULE = "ldlinux.c32"


def _isolinux_files(options: FormatOptions, assembly: Assembly) -> list[IsoEntry]:
    boot_files, folder = options.boot_files, _kernel_folder(assembly)
    text = syslinux_config(assembly.cmdline, f"/{folder}{KERNEL}", f"/{folder}{INITRD}")
    files = {
        _LOADER: boot_files.read("syslinux/isolinux.bin"),
        f"{_ISOLINUX}/{_MODULE}": boot_files.read(f"syslinux/{_MODULE}"),
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
    """The files of a volume besides a root filesystem, and how it boots."""

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
    # The signature covers the initrd in the program; the BIOS reads a file.
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
    system = BiosSystem(efi.required_kernel(assembly), assembly.initrd(), assembly.cmdline, b"")
    files = [*hybrid.systemd_boot_files(assembly, options), *system.files()]
    seed = seed_of((f.path, f.content) for f in files)
    volume = FatVolume.plan(files, label=EFI_LABEL, seed=seed, alignment=ISO_SECTOR // FAT_SECTOR)
    entries = (
        *(_isolinux_files(options, assembly) if with_bios else ()),
        *(_slice_of_fat(volume, f.path, f.size, _kernel_folder(assembly)) for f in system.files()),
        regular_file(_EFI_IMAGE, image_content(volume), STANDARD_TIME),
    )
    return _IsoContents(entries, _iso_boot(options, for_bios=with_bios, for_efi=True), seed)


def _kernel_files(system: BiosSystem, assembly: Assembly) -> Iterator[IsoEntry]:
    for file in system.files(_kernel_folder(assembly)):
        yield regular_file(file.path, file.content, STANDARD_TIME)


def _slice_of_fat(volume: FatVolume, path: str, size: int, folder: str) -> IsoEntry:
    """Return a file of the FAT volume as a file of the ISO volume."""
    offset = volume.extent(path).first * FAT_SECTOR
    return regular_file(folder + path, FileSlice(_EFI_IMAGE.encode(), offset, size), STANDARD_TIME)


def has_root(assembly: Assembly) -> bool:
    """Tell whether the command line names a root filesystem: the volume then holds it."""
    return any(word.startswith("root=") for word in assembly.cmdline.split())


def _kernel_folder(assembly: Assembly) -> str:
    """Return the folder of kernel and initrd: that of a root filesystem, if there is one."""
    return "boot/" if has_root(assembly) else ""


def _root_volume(
    make: _ContentsFunction,
    assembly: Assembly,
    options: FormatOptions,
    spill: IO[bytes],
    stack: ExitStack,
) -> IsoVolume:
    """Return a volume with the root filesystem, and an early initrd that mounts it."""
    early = require_early_initrd(assembly, "iso9660", options)
    # Without one the kernel goes on to the root filesystem by itself, the initrd being empty.
    empty = Plan(assembly.plan.architecture, (), assembly.plan.boot)
    early_assembly = Assembly(early.plan if early else empty, assembly.store, assembly.options)
    contents = make(stack.enter_context(early_assembly), replace(options, cache=RunCache()))
    return _plan_volume(contents, iso_entries(assembly, spill))


def _plan_volume(contents: _IsoContents, tree: Iterable[IsoEntry] = ()) -> IsoVolume:
    return IsoVolume.plan(
        chain(tree, contents.entries),
        label=LABEL,
        seed=contents.seed,
        boot=contents.boot,
        mtime=STANDARD_TIME,
    )


def _iso_format(
    name: str,
    make: _ContentsFunction,
    architectures: frozenset[str],
    *,
    may_have_root: bool = True,
) -> Format:
    def check(assembly: Assembly, options: FormatOptions) -> None:
        if may_have_root and has_root(assembly):
            require_early_initrd(assembly, "iso9660", options)
        else:
            options.cache.volumes[name] = _plan_volume(make(assembly, options))

    def write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        path = target.path(SUFFIXES[name]["iso"])
        if not (may_have_root and has_root(assembly)):
            return [write_sparse(name, "iso", path, options.cache.volumes[name])]
        with ExitStack() as stack, wrap_os_errors(target.directory):
            spill = stack.enter_context(tempfile.TemporaryFile(dir=target.directory))
            volume = _root_volume(make, assembly, options, spill, stack)
            return [write_sparse(name, "iso", path, volume)]

    return Format(
        name=name,
        write=write,
        # The initrd is encoded only if it is the system: the command line decides.
        needs=Needs(boot=True, helpers=frozenset({BOOTLOADERS})),
        architectures=architectures,
        # iso-efi-initrd refuses to be signed, with its reason.
        signs_on=frozenset() if make is _bios_contents else architectures,
        needs_kernel=True,
        check=check,
    )


ISO_BIOS = _iso_format("iso-bios", _bios_contents, bios.ARCHITECTURES)
ISO_EFI = _iso_format("iso-efi", _efi_contents, _ARCHITECTURES)
ISO_EFI_INITRD = _iso_format(
    "iso-efi-initrd", _efi_initrd_contents, _ARCHITECTURES, may_have_root=False
)
ISO = _iso_format("iso", _hybrid_contents, hybrid.ARCHITECTURES)
