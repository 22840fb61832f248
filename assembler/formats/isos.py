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
from assembler.formats.iso_tree import entries_of
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.root_volume import early
from assembler.formats.writing import write_medium
from assembler.helper_images.catalog import BOOTLOADERS
from assembler.media.fat import SECTOR as FAT_SECTOR
from assembler.media.fat import FatVolume
from assembler.media.iso import SECTOR, Boot, IsoEntry, IsoVolume, Within, regular
from assembler.media.sparse_image import content_of, mark_of
from assembler.media.syslinux import configuration
from assembler.rootfs.plan import STANDARD_TIME, Plan

LABEL = "DOLMEN"
_MACHINES = frozenset({"amd64", "arm64"})
_EFI_IMAGE = "boot/efi.img"
_FOLDER = "isolinux"
_LOADER = f"{_FOLDER}/isolinux.bin"
_MODULE = "ldlinux.c32"


def _isolinux(options: FormatOptions, assembly: Assembly) -> list[IsoEntry]:
    assets, folder = options.boot_files, _folder(assembly)
    text = configuration(assembly.cmdline, f"/{folder}{bios.KERNEL}", f"/{folder}{bios.INITRD}")
    files = {
        _LOADER: assets.read("syslinux/isolinux.bin"),
        f"{_FOLDER}/{_MODULE}": assets.read(f"syslinux/{_MODULE}"),
        f"{_FOLDER}/isolinux.cfg": text,
    }
    return [regular(path, content, STANDARD_TIME) for path, content in files.items()]


def _boot(options: FormatOptions, *, for_bios: bool, for_efi: bool) -> Boot:
    return Boot(
        bios=_LOADER.encode() if for_bios else b"",
        mbr=options.boot_files.read("syslinux/isohdpfx.bin") if for_bios else b"",
        efi=_EFI_IMAGE.encode() if for_efi else b"",
    )


@dataclass(frozen=True, slots=True)
class _Contents:
    """What is on a volume besides a root filesystem, and how it boots."""

    entries: tuple[IsoEntry, ...]
    boot: Boot
    mark: bytes


_Make = Callable[[Assembly, FormatOptions], _Contents]


def _for_bios(assembly: Assembly, options: FormatOptions) -> _Contents:
    system = bios.bios_system(assembly, options)
    entries = (*_isolinux(options, assembly), *_files(system, assembly))
    return _Contents(entries, _boot(options, for_bios=True, for_efi=False), system.mark)


def _for_efi(assembly: Assembly, options: FormatOptions) -> _Contents:
    system = efi.efi_system(assembly, options)
    image = regular(_EFI_IMAGE, content_of(system.volume()), STANDARD_TIME)
    return _Contents((image,), _boot(options, for_bios=False, for_efi=True), system.mark)


def _for_efi_with_initrd(assembly: Assembly, options: FormatOptions) -> _Contents:
    if options.signer is not None:
        raise OutputError.of(
            codes.BAD_FORMAT,
            "the format iso-efi-initrd cannot be signed: its initrd lies beside the kernel, where "
            "no signature covers it",
            "choose iso-efi, whose signature covers everything",
        )
    return _beside(assembly, options, with_bios=False)


def _for_both(assembly: Assembly, options: FormatOptions) -> _Contents:
    system = bios.bios_system(assembly, options)
    if options.signer is None:
        return _beside(assembly, options, with_bios=True)
    # Signed with the initrd in it; the BIOS reads its own.
    program = efi.efi_system(assembly, options)
    entries = (
        *_isolinux(options, assembly),
        *_files(system, assembly),
        regular(_EFI_IMAGE, content_of(program.volume()), STANDARD_TIME),
    )
    return _Contents(entries, _boot(options, for_bios=True, for_efi=True), program.mark)


def _beside(assembly: Assembly, options: FormatOptions, *, with_bios: bool) -> _Contents:
    system = bios.BiosSystem(efi.need_kernel(assembly), assembly.initrd(), assembly.cmdline, b"")
    files = [*hybrid.loader_files(assembly, options), *system.files()]
    mark = mark_of((f.path, f.content) for f in files)
    volume = FatVolume.plan(files, label=efi.LABEL, mark=mark, alignment=SECTOR // FAT_SECTOR)
    entries = (
        *(_isolinux(options, assembly) if with_bios else ()),
        *(_named(volume, f.path, f.size, _folder(assembly)) for f in system.files()),
        regular(_EFI_IMAGE, content_of(volume), STANDARD_TIME),
    )
    return _Contents(entries, _boot(options, for_bios=with_bios, for_efi=True), mark)


def _files(system: bios.BiosSystem, assembly: Assembly) -> Iterator[IsoEntry]:
    for file in system.files(_folder(assembly)):
        yield regular(file.path, file.content, STANDARD_TIME)


def _named(volume: FatVolume, path: str, size: int, folder: str) -> IsoEntry:
    """Return a file of the FAT volume as one of the ISO volume."""
    offset = volume.extent(path).first * FAT_SECTOR
    return regular(folder + path, Within(_EFI_IMAGE.encode(), offset, size), STANDARD_TIME)


def has_root(assembly: Assembly) -> bool:
    """Tell whether the command line names a root filesystem, which then is the volume itself."""
    return any(word.startswith("root=") for word in assembly.cmdline.split())


def _folder(assembly: Assembly) -> str:
    """Return where kernel and initrd lie: where a root filesystem has its own."""
    return "boot/" if has_root(assembly) else ""


def _with_root(
    make: _Make, assembly: Assembly, options: FormatOptions, fresh: IO[bytes], stack: ExitStack
) -> IsoVolume:
    """Return a volume that holds the root filesystem, and an initrd that only leads there."""
    small = early(assembly, "iso9660")
    # Without one the kernel goes on to the root filesystem by itself, the initrd being empty.
    empty = Plan(assembly.plan.architecture, (), assembly.plan.boot)
    way = Assembly(small.plan if small else empty, assembly.store, assembly.options)
    contents = make(stack.enter_context(way), replace(options, shared={}))
    return _volume(contents, entries_of(assembly, fresh))


def _volume(contents: _Contents, tree: Iterable[IsoEntry] = ()) -> IsoVolume:
    return IsoVolume.plan(
        chain(tree, contents.entries),
        label=LABEL,
        mark=contents.mark,
        boot=contents.boot,
        mtime=STANDARD_TIME,
    )


def _format(
    name: str,
    description: str,
    suffix: str,
    make: _Make,
    architectures: frozenset[str],
    *,
    may_have_root: bool = True,
) -> Format:
    def check(assembly: Assembly, options: FormatOptions) -> None:
        if may_have_root and has_root(assembly):
            early(assembly, "iso9660")
        else:
            options.shared[name] = _volume(make(assembly, options))

    def write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        path = target.path(suffix)
        if not (may_have_root and has_root(assembly)):
            volume = cast("IsoVolume", options.shared[name])
            return [write_medium(name, "iso", path, volume)]
        with ExitStack() as stack, wrap_os_errors(target.directory):
            fresh = stack.enter_context(tempfile.TemporaryFile(dir=target.directory))
            volume = _with_root(make, assembly, options, fresh, stack)
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
    "iso-bios", "a CD or USB stick that a BIOS boots", ".iso", _for_bios, bios.ARCHITECTURES
)
ISO_EFI = _format("iso-efi", "a CD or USB stick that UEFI boots", "-efi.iso", _for_efi, _MACHINES)
ISO_EFI_INITRD = _format(
    "iso-efi-initrd",
    "the same with kernel and initrd as files",
    "-efi-initrd.iso",
    _for_efi_with_initrd,
    _MACHINES,
    may_have_root=False,
)
ISO = _format(
    "iso",
    "a CD or USB stick that both a BIOS and UEFI boot",
    "-hybrid.iso",
    _for_both,
    hybrid.ARCHITECTURES,
)
