"""Kernel, command line, and the root filesystem as an ISO volume."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

from assembler.encode.assembly import Assembly
from assembler.encode.early import early_initrd
from assembler.errors import told
from assembler.formats.iso_tree import entries_of
from assembler.formats.kernel_initrd import CMDLINE, KERNEL, write_kernel
from assembler.formats.protocol import Format, FormatOptions, Needs, Output, Target
from assembler.formats.writing import new_file, write_medium
from assembler.media.iso import IsoVolume
from assembler.rootfs.plan import STANDARD_TIME

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX, INITRD = ".iso", "-iso-initrd.img"
# By which the root filesystem can be found, wherever the machine has it: root=LABEL=DOLMEN.
LABEL = "DOLMEN"


def _write(assembly: Assembly, target: Target, _options: FormatOptions) -> list[Output]:
    with told(target.directory), tempfile.TemporaryFile(dir=target.directory) as fresh:
        entries = entries_of(assembly, fresh)
        volume = IsoVolume.plan(entries, label=LABEL, mark=bytes(32), mtime=STANDARD_TIME)
        written = [write_medium(FORMAT.name, "root", target.path(SUFFIX), volume)]
    written += write_kernel(assembly, target, FORMAT.name)
    written += _write_early(assembly, target.path(INITRD))
    return written


def _write_early(assembly: Assembly, path: Path) -> list[Output]:
    """Write the initrd that leads to the root filesystem, if the system's init has one."""
    early = early_initrd(assembly, ["iso9660"])
    if early is None or not early.modules:
        return []
    with (
        Assembly(early.plan, assembly.store, assembly.options) as small,
        new_file(path) as file,
    ):
        small.write_initrd(file)
        size = file.seek(0, 2)
    return [Output(FORMAT.name, "initrd", size, path)]


FORMAT = Format(
    name="kernel+iso",
    description="kernel and command line, the root filesystem as an ISO volume",
    suffixes={"root": SUFFIX, "kernel": KERNEL, "initrd": INITRD, "cmdline": CMDLINE},
    write=_write,
    needs=Needs(tree=True, boot=True),
)
