"""`dolmen ssh`: log in to a machine that was started with --ssh."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app

app = command_app()


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def ssh(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the machine; `-` if there is only one.",
            autocompletion=completions.complete_machines,
        ),
    ] = "-",
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND...", help="Command to run in the guest.  [default: a shell]"
        ),
    ] = None,
) -> None:
    """Log in as root to a machine started by `dolmen run qemu --ssh`.

    \b
    dolmen ssh                     # the only machine
    dolmen ssh web
    dolmen ssh web cat /etc/hostname
    dolmen ssh - -L 5432:localhost:5432     # options of ssh precede a command

    The exit code is that of the command.
    """
    from assembler.machine import find_machine, ssh_command, state_directory

    machine = find_machine("" if name == "-" else name, state_directory(os.environ))
    argv = ssh_command(machine, command or ())
    os.execv(argv[0], ["ssh", *argv[1:]])  # noqa: S606 - ssh takes over the terminal
