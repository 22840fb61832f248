"""`dolmen console`: the console of a machine that runs detached."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dolmen.lazy import command_app

app = command_app()
_HINT = "dolmen: Ctrl-] and q leaves the console, the machine goes on\r\n"


@app.command()
def console(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The machine; may be left out if there is only one."),
    ] = "",
) -> None:
    """Work at the console of a machine that runs detached.

    \b
    dolmen console web

    All keys go to the guest, Ctrl-C too. Ctrl-] and q leaves; the machine goes on.
    """
    from assembler.machine import attach, find_machine, state_directory
    from dolmen.run.terminal_console import TerminalConsole

    terminal = TerminalConsole(ends_machine=False, attach_hint=_HINT)
    result = attach(find_machine(name, state_directory(os.environ)), terminal)
    if result.left and terminal.was_raw:
        sys.stderr.write("\ndolmen: left; the machine goes on\n")
    raise typer.Exit(128 + result.signal if result.signal else 0)
