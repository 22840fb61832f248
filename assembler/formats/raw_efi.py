"""A disk that UEFI boots: a partition table, and a volume with the unified kernel image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.formats import efi
from assembler.formats.outputs import write_sparse
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.helper_images import BOOTLOADERS
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.written_output import Output
    from assembler.media import SparseImage


def _disk(assembly: Assembly, options: FormatOptions) -> SparseImage:
    return efi.efi_disk(efi.efi_system(assembly, options), options.disk_size)


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    disk = _disk(assembly, options)
    return [write_sparse(FORMAT.name, "disk", target.path(SUFFIXES[FORMAT.name]["disk"]), disk)]


FORMAT = Format(
    name="raw-efi",
    write=_write,
    needs=Needs(initrd=True, boot=True, helpers=frozenset({BOOTLOADERS})),
    architectures=efi.ARCHITECTURES,
    signs_on=efi.ARCHITECTURES,
    needs_kernel=True,
    check=_disk,
)
