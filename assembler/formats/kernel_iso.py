"""Kernel, command line, and the root filesystem as an ISO volume."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.formats.iso_tree import iso_entries
from assembler.formats.kernel_initrd import write_kernel
from assembler.formats.outputs import write_sparse
from assembler.formats.protocol import Format, FormatOptions, Needs, Target
from assembler.formats.root_volume import require_early_initrd, write_early_initrd
from assembler.media import IsoVolume
from assembler.rootfs import STANDARD_TIME
from assembler.suffixes import SUFFIXES

if TYPE_CHECKING:
    from assembler.encode import Assembly
    from assembler.formats.written_output import Output

# The kernel's command line names the root filesystem by it: root=LABEL=DOLMEN.
LABEL = "DOLMEN"


def _write(assembly: Assembly, target: Target, options: FormatOptions) -> list[Output]:
    early = require_early_initrd(assembly, "iso9660", options)
    with wrap_os_errors(target.directory), tempfile.TemporaryFile(dir=target.directory) as spill:
        entries = iso_entries(assembly, spill)
        volume = IsoVolume.plan(entries, label=LABEL, seed=bytes(32), mtime=STANDARD_TIME)
        written = [
            write_sparse(FORMAT.name, "root", target.path(SUFFIXES[FORMAT.name]["root"]), volume)
        ]
    written += write_kernel(assembly, target, FORMAT.name)
    written += write_early_initrd(
        FORMAT.name, assembly, target, SUFFIXES[FORMAT.name]["initrd"], early
    )
    return written


FORMAT = Format(
    name="kernel+iso",
    write=_write,
    needs=Needs(tree=True, boot=True),
)
