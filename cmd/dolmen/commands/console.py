"""`dolmen console`: attach to the console of a detached machine."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_note

app = command_app()
_HINT = "dolmen: Ctrl-] q detaches; the machine keeps running\n"


@app.command()
def console(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the machine; optional if there is only one.",
            autocompletion=completions.complete_machines,
        ),
    ] = "",
) -> None:
    """Attach to the console of a detached machine.

    \b
    dolmen console web

    All keys go to the guest, including Ctrl-C. Ctrl-] q detaches; the machine keeps running.
    """
    from assembler.machine import attach, find_machine, state_directory
    from dolmen.run.terminal_console import TerminalConsole

    terminal = TerminalConsole(ends_machine=False, attach_hint=_HINT)
    result = attach(find_machine(name, state_directory(os.environ)), terminal)
    if result.left and terminal.was_raw:
        print_note()
        print_note("dolmen: detached; the machine keeps running")
    raise typer.Exit(128 + result.signal if result.signal else 0)
