"""What formats with the root filesystem on a disk have in common: how a kernel reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode.assembly import Assembly
from assembler.encode.early import early_initrd
from assembler.errors import OutputError
from assembler.formats.protocol import Output, Target
from assembler.formats.writing import output_file

if TYPE_CHECKING:
    from assembler.encode.early import EarlyInitrd


def require_early_initrd(assembly: Assembly, filesystem: str) -> EarlyInitrd | None:
    """Return the initrd that leads to a root filesystem; None if the kernel finds it alone.

    A kernel that has no such filesystem is refused.
    """
    found = early_initrd(assembly, [filesystem])
    if found is None:
        return None
    if found.lacking:
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.NO_FILESYSTEM,
            f"the kernel has no {filesystem}, neither built in nor as a module",
            "choose another format: kernel+initrd needs no filesystem",
            place=boot.kernel.place if boot else None,
        )
    return found if found.modules else None


def write_early_initrd(
    name: str, assembly: Assembly, target: Target, suffix: str, small: EarlyInitrd | None
) -> list[Output]:
    """Write that initrd, if one is needed."""
    if small is None:
        return []
    path = target.path(suffix)
    with (
        Assembly(small.plan, assembly.store, assembly.options) as way,
        output_file(path) as file,
    ):
        way.write_initrd(file)
        size = file.seek(0, 2)
    return [Output(name, "initrd", size, path)]
