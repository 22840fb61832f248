"""Root filesystems on a volume: the early initrd that mounts them, where one is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode import Assembly, plan_early_initrd
from assembler.errors import OutputError
from assembler.formats.outputs import output_file
from assembler.formats.written_output import Output

if TYPE_CHECKING:
    from assembler.encode import EarlyInitrd
    from assembler.formats.protocol import FormatOptions, Target


def require_early_initrd(
    assembly: Assembly, filesystem: str, options: FormatOptions
) -> EarlyInitrd | None:
    """Return the initrd that mounts a root filesystem; None if the kernel mounts it by itself.

    A kernel without a driver for the filesystem is refused.
    """
    found = plan_early_initrd(assembly, [filesystem], lambda: options.early_init)
    if found is None:
        return None
    if found.missing_filesystems:
        boot = assembly.plan.boot
        raise OutputError.of(
            codes.NO_FILESYSTEM,
            f"the kernel has no {filesystem}, neither built in nor as a module",
            "choose another format: kernel+initrd needs no filesystem",
            place=boot.kernel.place if boot else None,
        )
    return found if found.module_count else None


def write_early_initrd(
    name: str, assembly: Assembly, target: Target, suffix: str, early: EarlyInitrd | None
) -> list[Output]:
    """Write the early initrd, if one is needed."""
    if early is None:
        return []
    path = target.path(suffix)
    with (
        Assembly(early.plan, assembly.store, assembly.options) as early_assembly,
        output_file(path) as file,
    ):
        early_assembly.write_initrd(file)
        size = file.seek(0, 2)
    return [Output(name, "initrd", size, path)]
