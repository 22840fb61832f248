"""Kernel, command line, and the root filesystem as an ISO volume."""

from __future__ import annotations

import tempfile

from assembler.encode.assembly import Assembly
from assembler.errors import wrap_os_errors
from assembler.formats.iso_tree import iso_entries
from assembler.formats.kernel_initrd import CMDLINE, KERNEL, write_kernel
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.root_volume import require_early_initrd, write_early_initrd
from assembler.formats.writing import write_medium
from assembler.media.iso import IsoVolume
from assembler.rootfs.plan import STANDARD_TIME

SUFFIX, INITRD = ".iso", "-iso-initrd.img"
# By which the root filesystem can be found, wherever the machine has it: root=LABEL=DOLMEN.
LABEL = "DOLMEN"


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    small = require_early_initrd(assembly, "iso9660")
    with wrap_os_errors(target.directory), tempfile.TemporaryFile(dir=target.directory) as fresh:
        entries = iso_entries(assembly, fresh)
        volume = IsoVolume.plan(entries, label=LABEL, seed=bytes(32), mtime=STANDARD_TIME)
        written = [write_medium(FORMAT.name, "root", target.path(SUFFIX), volume)]
    written += write_kernel(assembly, target, FORMAT.name)
    written += write_early_initrd(FORMAT.name, assembly, target, INITRD, small)
    return written


FORMAT = Format(
    name="kernel+iso",
    description="kernel and command line, the root filesystem as an ISO volume",
    suffixes={"root": SUFFIX, "kernel": KERNEL, "initrd": INITRD, "cmdline": CMDLINE},
    write=_write,
    needs=Needs(tree=True, boot=True),
)
