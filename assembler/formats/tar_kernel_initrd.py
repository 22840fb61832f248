"""Kernel, initrd, command line and microcode in a tar archive."""

from __future__ import annotations

import tempfile
from typing import IO, TYPE_CHECKING

from assembler.encode.tar import END, PlainTar
from assembler.errors import told
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import write_stream
from assembler.stretches import Stretch, append

if TYPE_CHECKING:
    from assembler.encode.assembly import Assembly

SUFFIX = "-initrd.tar"


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    def fill(out: IO[bytes]) -> None:
        tar = PlainTar(out)
        kernel = assembly.kernel()
        if kernel is not None:
            tar.head("kernel", kernel.size)
            append(out, kernel.content)
            tar.pad(kernel.size)
        # The size stands before the content, and is known only behind it.
        with told(target.directory), tempfile.TemporaryFile(dir=target.directory) as initrd:
            assembly.write_initrd(initrd, ucode=False)
            size = initrd.seek(0, 2)
            if size:
                tar.head("initrd.img", size)
                append(out, Stretch(initrd.fileno(), size))
                tar.pad(size)
        if assembly.cmdline:
            data = assembly.cmdline.encode()
            tar.head("cmdline", len(data))
            out.write(data)
            tar.pad(len(data))
        ucode = assembly.ucode()
        if ucode is not None:
            tar.head("ucode.cpio", ucode.size)
            append(out, ucode.content)
            tar.pad(ucode.size)
        out.write(END)

    return [write_stream("tar-kernel-initrd", "tar", target, SUFFIX, fill)]


FORMAT = Format(
    name="tar-kernel-initrd",
    description="the same three in a tar archive",
    suffixes={"tar": SUFFIX},
    write=_write,
    needs=Needs(initrd=True, boot=True),
)
