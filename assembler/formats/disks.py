"""Bootable disks, raw and in the container formats of hypervisors and clouds.

On PCs they boot from a BIOS, as those of LinuxKit do, unless their name says otherwise; other
architectures support only UEFI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from assembler.formats import bios, efi, hybrid
from assembler.formats.outputs import output_file
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.written_output import Output
from assembler.helper_images import BOOTLOADERS
from assembler.media import (
    DynamicVhd,
    FixedVhd,
    Qcow2,
    SparseImage,
    write_disk_tar,
    write_image,
    write_vmdk,
)
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.encode import Assembly

_SECTOR, _MIB, _GIB = 512, 1 << 20, 1 << 30
_BIOS, _EFI, _HYBRID = "bios", "efi", "hybrid"
_BIOS_ARCHITECTURES = frozenset({"amd64"})
# The architectures of hypervisors and clouds.
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_LAYOUTS: dict[str, Callable[[Assembly, FormatOptions, int | None], SparseImage]] = {
    _BIOS: lambda a, o, size: bios.bios_disk(bios.bios_system(a, o), o, size),
    _EFI: lambda a, o, size: efi.efi_disk(efi.efi_system(a, o), size),
    _HYBRID: hybrid.hybrid_disk,
}


@dataclass(frozen=True, slots=True)
class _Container:
    """How a disk becomes a file."""

    # Writes a disk; serial numbers and UUIDs are derived from the seed.
    write: Callable[[SparseImage, bytes, IO[bytes]], object]
    # The size of the disk is a multiple of it.
    unit: int = _SECTOR


_RAW = _Container(lambda disk, _seed, file: write_image(disk, file))
_QCOW2 = _Container(lambda disk, _seed, file: write_image(Qcow2.plan(disk), file))
_FIXED = _Container(lambda disk, seed, file: write_image(FixedVhd.plan(disk, seed), file), _MIB)
_DYNAMIC = _Container(lambda disk, seed, file: write_image(DynamicVhd.plan(disk, seed), file), _MIB)
_VMDK = _Container(write_vmdk, 64 << 10)
_GCP_ARCHIVE = _Container(lambda disk, _seed, file: write_disk_tar(disk, file), _GIB)


def shared_disk(assembly: Assembly, options: FormatOptions, layout: str, unit: int) -> SparseImage:
    """Return a disk of the requested size, or as small as possible, rounded up to a unit.

    It is laid out once for all formats of a run with the same layout and unit.
    """
    disks = options.cache.disks
    if (layout, unit) not in disks:
        lay_out = _LAYOUTS[layout]
        size = options.disk_size and _round_up(options.disk_size, unit)
        disk = lay_out(assembly, options, size)
        if disk.size % unit:
            disk = lay_out(assembly, options, _round_up(disk.size, unit))
        disks[layout, unit] = disk
    return disks[layout, unit]


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _disk_format(
    name: str,
    container: _Container,
    layout_on_pcs: str,
    architectures: frozenset[str] = _ARCHITECTURES,
) -> Format:
    def layout_of(assembly: Assembly) -> str:
        return layout_on_pcs if assembly.plan.architecture in _BIOS_ARCHITECTURES else _EFI

    def lay_out(assembly: Assembly, options: FormatOptions) -> SparseImage:
        return shared_disk(assembly, options, layout_of(assembly), container.unit)

    def write_disk(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        disk = lay_out(assembly, options)
        if layout_of(assembly) == _EFI:
            seed = efi.efi_system(assembly, options).seed
        else:
            seed = bios.bios_system(assembly, options).seed
        path = target.path(SUFFIXES[name]["disk"])
        with output_file(path) as file:
            container.write(disk, seed, file)
            file.flush()
            size = file.seek(0, 2)
        return [Output(name, "disk", size, path)]

    return Format(
        name=name,
        write=write_disk,
        needs=Needs(initrd=True, boot=True, helpers=frozenset({BOOTLOADERS})),
        architectures=architectures,
        signs_on=architectures - (_BIOS_ARCHITECTURES if layout_on_pcs == _BIOS else frozenset()),
        needs_kernel=True,
        check=lay_out,
    )


RAW_BIOS = _disk_format("raw-bios", _RAW, _BIOS, _BIOS_ARCHITECTURES)
RAW = _disk_format("raw", _RAW, _HYBRID, _BIOS_ARCHITECTURES)
QCOW2_BIOS = _disk_format("qcow2-bios", _QCOW2, _BIOS, _BIOS_ARCHITECTURES)
QCOW2_EFI = _disk_format("qcow2-efi", _QCOW2, _EFI)
VHD = _disk_format("vhd", _FIXED, _BIOS)
DYNAMIC_VHD = _disk_format("dynamic-vhd", _DYNAMIC, _BIOS)
VMDK = _disk_format("vmdk", _VMDK, _BIOS)
GCP = _disk_format("gcp", _GCP_ARCHIVE, _BIOS)
AWS = _disk_format("aws", _RAW, _BIOS)
AZURE = _disk_format("azure", _FIXED, _HYBRID)
