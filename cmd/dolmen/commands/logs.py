"""`dolmen logs`: print the console output of a machine."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_document

app = command_app()


@app.command()
def logs(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="Name of the machine; optional if there is only one."),
    ] = "",
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Follow the output until the machine ends.")
    ] = False,
) -> None:
    """Print the console output of a machine.

    \b
    dolmen logs
    dolmen logs -f web
    """
    from assembler.machine import find_machine, read_log, state_directory

    for text in read_log(find_machine(name, state_directory(os.environ)), follow=follow):
        print_document(text)
        sys.stdout.flush()
