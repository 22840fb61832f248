"""The next command to type: the last line that a command prints to a person.

It is a note. `new` and `pkg new`, which begin something, always print it. All other commands
print it only if both streams are a terminal, so that scripts and logs do not have it. With `-q` and
`--json` there is none.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from assembler.suffixes import KERNEL
from dolmen.output import Styled, print_note, wants_color

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.formats import Output
    from dolmen.settings import Settings

_STYLE = "1"
# Formats whose output QEMU boots as it is.
_BOOTABLE = ("uki", "raw", "iso", "qcow2", "vhd", "dynamic-vhd", "vmdk", "verified")


def show_next_command(settings: Settings, *words: str | Path, always: bool = False) -> None:
    """Print the next command if there is one; file names are quoted for the shell."""
    if words and _is_wanted(settings, always=always):
        import shlex  # noqa: PLC0415 - most builds do not print to a terminal

        show_next_step(settings, shlex.join(map(str, words)), always=always)


def show_next_step(settings: Settings, text: str, *, always: bool = False) -> None:
    """Print the next step, if it is more than a command."""
    if not _is_wanted(settings, always=always):
        return
    sys.stdout.flush()
    style = _STYLE if wants_color(sys.stderr, settings.color) else ""
    print_note("next: ", Styled(text, style))


def _is_wanted(settings: Settings, *, always: bool) -> bool:
    return not settings.quiet and (always or (sys.stdout.isatty() and sys.stderr.isatty()))


def command_for_outputs(outputs: Sequence[Output], architecture: str = "") -> tuple[str, ...]:
    """Return the command that runs the outputs of a build, else one that shows them."""
    run = ("dolmen", "run", "qemu")
    for output in outputs:
        path = str(output.path or "")
        prefix = path.removesuffix(KERNEL)
        if output.role == "kernel" and prefix != path:
            if output.format in ("kernel+initrd", "microvm"):
                return (*run, prefix)
            if output.format == "kernel+squashfs":
                return (*run, "--squashfs", prefix)
        if path and output.format.split("-")[0] in _BOOTABLE:
            return (*run, *(("--arch", architecture) if architecture else ()), path)
    for output in outputs:
        if output.path is not None and output.path.is_file():
            return ("dolmen", "inspect", str(output.path))
        if output.reference:
            return ("dolmen", "cache", "inspect", output.reference)
    return ()
