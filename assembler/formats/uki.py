"""A unified kernel image: kernel, initrd and command line as one program that UEFI starts."""

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


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    system = efi.efi_system(assembly, options)
    return [
        write_sparse(
            FORMAT.name, "program", target.path(SUFFIXES[FORMAT.name]["program"]), system.program
        )
    ]


FORMAT = Format(
    name="uki",
    write=_write,
    needs=Needs(initrd=True, boot=True, helpers=frozenset({BOOTLOADERS})),
    architectures=efi.ARCHITECTURES,
    signs_on=efi.ARCHITECTURES,
    needs_kernel=True,
    check=efi.efi_system,
)
