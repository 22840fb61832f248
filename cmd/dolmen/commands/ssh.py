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
    from assembler.machine import find_machine, ssh_command, state_directory

    machine = find_machine("" if name == "-" else name, state_directory(os.environ))
    words = ssh_command(machine, command or ())
    os.execv(words[0], ["ssh", *words[1:]])  # noqa: S606 - ssh takes over the terminal
