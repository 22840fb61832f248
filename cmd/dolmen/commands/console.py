"""`dolmen console`: the console of a machine that runs detached."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dolmen.lazy import command_app

app = command_app()


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
    from assembler.machine.records import Machines, state_directory
    from dolmen.run.attached import attach

    code = attach(Machines(state_directory(os.environ)).find(name))
    raise typer.Exit(code)
