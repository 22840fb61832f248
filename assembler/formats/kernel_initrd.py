"""Kernel, initrd and command line as three files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.content import write_content
from assembler.formats.outputs import output_file
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.written_output import Output
from assembler.suffixes import CMDLINE, INITRD, KERNEL

if TYPE_CHECKING:
    from assembler.encode import Assembly


def write_kernel(assembly: Assembly, target: Target, name: str) -> list[Output]:
    """Write the kernel and its command line, if the system has them."""
    written = []
    kernel = assembly.kernel()
    if kernel is not None:
        path = target.path(KERNEL)
        with output_file(path) as file:
            write_content(file, kernel.content)
        written.append(Output(name, "kernel", kernel.size, path))
    if assembly.cmdline:
        path = target.path(CMDLINE)
        data = assembly.cmdline.encode()
        with output_file(path) as file:
            file.write(data)
        written.append(Output(name, "cmdline", len(data), path))
    return written


def write_kernel_and_initrd(assembly: Assembly, target: Target, name: str) -> list[Output]:
    """Write the kernel, its initrd and its command line, as far as the system has them."""
    path = target.path(INITRD)
    with output_file(path) as file:
        assembly.write_initrd(file)
        size = file.seek(0, 2)
    written = write_kernel(assembly, target, name)
    return [*written[:1], Output(name, "initrd", size, path), *written[1:]]


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    return write_kernel_and_initrd(assembly, target, FORMAT.name)


FORMAT = Format(
    name="kernel+initrd",
    write=_write,
    needs=Needs(initrd=True, boot=True),
)
