"""Disks that boot, as they are and in the containers of hypervisors and clouds.

On PCs they are made for a BIOS, as LinuxKit's are, unless their name says something else; on other
architectures for UEFI, which is all there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from assembler.formats import bios, efi, hybrid
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import output_file
from assembler.helper_images.catalog import BOOTLOADERS
from assembler.media import SparseImage, disk_tar, vmdk, write_image
from assembler.media.qcow2 import Qcow2
from assembler.media.vhd import DynamicVhd, FixedVhd

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly

_SECTOR, _MIB, _GIB = 512, 1 << 20, 1 << 30
_BIOS, _EFI, _BOTH = "bios", "efi", "both"
_BIOS_ARCHITECTURES = frozenset({"amd64"})
# Where hypervisors and clouds are.
_ARCHITECTURES = frozenset({"amd64", "arm64"})
_LAYOUTS: dict[str, Callable[[Assembly, FormatOptions, int | None], SparseImage]] = {
    _BIOS: lambda a, o, size: bios.bios_disk(bios.bios_system(a, o), o, size),
    _EFI: lambda a, o, size: efi.efi_disk(efi.efi_system(a, o), size),
    _BOTH: hybrid.hybrid_disk,
}


@dataclass(frozen=True, slots=True)
class _Container:
    """How a disk becomes a file."""

    suffix: str
    # Writes the disk, whose mark stands for its content.
    fill: Callable[[SparseImage, bytes, IO[bytes]], object]
    # What the size of the disk is a multiple of.
    unit: int = _SECTOR


_RAW = _Container("", lambda disk, _mark, file: write_image(disk, file))
_QCOW2 = _Container("", lambda disk, _mark, file: write_image(Qcow2.plan(disk), file))
_FIXED = _Container(
    ".vhd", lambda disk, seed, file: write_image(FixedVhd.plan(disk, seed), file), _MIB
)
_DYNAMIC = _Container(
    ".vhd", lambda disk, seed, file: write_image(DynamicVhd.plan(disk, seed), file), _MIB
)
_VMDK = _Container(".vmdk", vmdk.write_vmdk, 64 << 10)
_GCP_ARCHIVE = _Container(
    ".img.tar.gz", lambda disk, _mark, file: disk_tar.write_disk_tar(disk, file), _GIB
)


def shared_disk(assembly: Assembly, options: FormatOptions, layout: str, unit: int) -> SparseImage:
    """Return a disk of the size asked for, or as small as it can be, rounded up to a multiple.

    It is laid out once for all formats of a run that want the same.
    """
    known = f"disk {layout} {unit}"
    if known not in options.shared:
        make = _LAYOUTS[layout]
        found = make(assembly, options, options.disk_size and _round_up(options.disk_size, unit))
        if found.size % unit:
            found = make(assembly, options, _round_up(found.size, unit))
        options.shared[known] = found
    return cast("SparseImage", options.shared[known])


def _round_up(size: int, unit: int) -> int:
    return -(-size // unit) * unit


def _disk_format(
    name: str,
    description: str,
    form: _Container,
    *,
    pc: str,
    suffix: str = "",
    architectures: frozenset[str] = _ARCHITECTURES,
) -> Format:
    suffix = suffix or form.suffix

    def check(assembly: Assembly, options: FormatOptions) -> SparseImage:
        layout = pc if assembly.plan.architecture in _BIOS_ARCHITECTURES else _EFI
        return shared_disk(assembly, options, layout, form.unit)

    def layout_of(assembly: Assembly) -> str:
        return pc if assembly.plan.architecture in _BIOS_ARCHITECTURES else _EFI

    def lay_out(assembly: Assembly, options: FormatOptions) -> SparseImage:
        return shared_disk(assembly, options, layout_of(assembly), form.unit)

    def write_disk(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
        disk = lay_out(assembly, options)
        if layout_of(assembly) == _EFI:
            seed = efi.efi_system(assembly, options).seed
        else:
            seed = bios.bios_system(assembly, options).seed
        path = target.path(suffix)
        with output_file(path) as file:
            form.fill(disk, seed, file)
            file.flush()
            size = file.seek(0, 2)
        return [Output(name, "disk", size, path)]

    return Format(
        name=name,
        description=description,
        suffixes={"disk": suffix},
        write=write_disk,
        needs=Needs(initrd=True, boot=True, helpers=frozenset({BOOTLOADERS})),
        architectures=architectures,
        needs_kernel=True,
        check=check,
    )


RAW_BIOS = _disk_format(
    "raw-bios",
    "a disk that a BIOS boots",
    _RAW,
    pc=_BIOS,
    suffix="-bios.img",
    architectures=_BIOS_ARCHITECTURES,
)
RAW = _disk_format(
    "raw",
    "a disk that both a BIOS and UEFI boot",
    _RAW,
    pc=_BOTH,
    suffix=".img",
    architectures=_BIOS_ARCHITECTURES,
)
QCOW2_BIOS = _disk_format(
    "qcow2-bios",
    "a disk for QEMU that a BIOS boots",
    _QCOW2,
    pc=_BIOS,
    suffix=".qcow2",
    architectures=_BIOS_ARCHITECTURES,
)
QCOW2_EFI = _disk_format(
    "qcow2-efi",
    "a disk for QEMU that UEFI boots",
    _QCOW2,
    pc=_EFI,
    suffix="-efi.qcow2",
    architectures=_ARCHITECTURES,
)
VHD = _disk_format("vhd", "a disk for Hyper-V, of fixed size", _FIXED, pc=_BIOS)
DYNAMIC_VHD = _disk_format("dynamic-vhd", "a disk for Hyper-V that grows", _DYNAMIC, pc=_BIOS)
VMDK = _disk_format("vmdk", "a disk for VMware and VirtualBox to import", _VMDK, pc=_BIOS)
GCP = _disk_format("gcp", "an image for Google's cloud", _GCP_ARCHIVE, pc=_BIOS)
AWS = _disk_format("aws", "a disk for Amazon's cloud to import", _RAW, pc=_BIOS, suffix=".raw")
AZURE = _disk_format(
    "azure",
    "a disk for Azure, for machines of both generations",
    _FIXED,
    pc=_BOTH,
    suffix="-azure.vhd",
)
