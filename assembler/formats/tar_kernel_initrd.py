"""Kernel, initrd, command line and microcode in a tar archive."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from assembler.content import write_content
from assembler.encode import TAR_END, PlainTarWriter
from assembler.formats.outputs import write_stream
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.written_output import Output


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    def fill(out: IO[bytes]) -> None:
        tar = PlainTarWriter(out)
        kernel = assembly.kernel()
        if kernel is not None:
            tar.head("kernel", kernel.size)
            write_content(out, kernel.content)
            tar.pad(kernel.size)
        initrd = assembly.initrd(ucode=False)
        if initrd.size:
            tar.head("initrd.img", initrd.size)
            write_content(out, initrd)
            tar.pad(initrd.size)
        if assembly.cmdline:
            data = assembly.cmdline.encode()
            tar.head("cmdline", len(data))
            out.write(data)
            tar.pad(len(data))
        ucode = assembly.ucode()
        if ucode is not None:
            tar.head("ucode.cpio", ucode.size)
            write_content(out, ucode.content)
            tar.pad(ucode.size)
        out.write(TAR_END)

    return [write_stream(FORMAT.name, "tar", target, SUFFIXES[FORMAT.name]["tar"], fill)]


FORMAT = Format(
    name="tar-kernel-initrd",
    write=_write,
    needs=Needs(initrd=True, boot=True),
)
