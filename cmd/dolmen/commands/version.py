"""`dolmen version`: print the version."""

from __future__ import annotations

import json
import platform
from typing import Annotated

import typer

from assembler.version import __version__
from dolmen.lazy import command_app
from dolmen.output import print_line

app = command_app()


@app.command()
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Print Dolmen's version.

    \b
    dolmen version
    dolmen version --json
    """
    if as_json:
        print_line(json.dumps({"version": __version__, "python": platform.python_version()}))
    else:
        print_line(f"dolmen {__version__}")
