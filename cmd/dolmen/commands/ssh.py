"""`dolmen ssh`: a shell in a machine that was started with --ssh."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dolmen.lazy import command_app

app = command_app()


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def ssh(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The machine; - if there is only one.")
    ] = "-",
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND...", help="What to run there; a shell otherwise."),
    ] = None,
) -> None:
    """Log in at a machine that `dolmen run qemu --ssh` has started, as root.

    \b
    dolmen ssh                     # the only machine
    dolmen ssh web
    dolmen ssh web cat /etc/hostname
    dolmen ssh - -L 5432:localhost:5432     # options of ssh come before a command

    The exit code is that of the command.
    """
    from assembler.codes import machine as codes
    from assembler.errors import MachineError
    from assembler.machine.records import Machines, state_directory
    from assembler.tools import require_program
    from dolmen.run import reaching

    program = require_program("ssh")
    entry = Machines(state_directory(os.environ)).find("" if name == "-" else name)
    if not entry.record.ssh or not entry.alive:
        what = "has ended" if not entry.alive else "was not started with --ssh"
        raise MachineError.of(codes.SSH_UNAVAILABLE, f"{entry.record.name} {what}")
    words = reaching.command(entry.folder, entry.record.ssh, command or [])
    os.execv(program, words)  # noqa: S606 - the terminal is its own from here on
