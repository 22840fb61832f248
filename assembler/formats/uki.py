"""Kernel, initrd and command line as one program that UEFI starts: a unified kernel image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.formats import efi
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_medium
from assembler.helper_images.catalog import BOOTLOADERS

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly

SUFFIX = ".efi"


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    system = efi.efi_system(assembly, options)
    return [write_medium(FORMAT.name, "program", target.path(SUFFIX), system.program)]


FORMAT = Format(
    name="uki",
    description="kernel, initrd and command line as one program for UEFI",
    suffixes={"program": SUFFIX},
    write=_write,
    needs=Needs(initrd=True, boot=True, helpers=frozenset({BOOTLOADERS})),
    architectures=efi.ARCHITECTURES,
    needs_kernel=True,
    check=efi.efi_system,
)
