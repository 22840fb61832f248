"""`dolmen version`: print the version."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from assembler.version import __version__
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line

app = command_app()


@app.command()
def version(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
    short: Annotated[bool, typer.Option("--short", help="Print only the number.")] = False,
    commit: Annotated[
        bool,
        typer.Option("--commit", help="Print only the git commit of a checkout, or `unknown`."),
    ] = False,
) -> None:
    """Print Dolmen's version.

    \b
    dolmen version
    dolmen version --json
    """
    if commit:
        print_line(_commit())
    elif short:
        print_line(__version__)
    elif as_json:
        print_json({"version": __version__, "python": platform.python_version()}, indent=None)
    else:
        print_line(f"dolmen {__version__}")


def _commit() -> str:
    """Return the commit of the checkout that contains this program; wheels do not record one."""
    from assembler.tools import find_program, run_program

    top = Path(__file__).resolve().parents[3]
    git = find_program("git")
    if git is None or not os.path.lexists(top / ".git"):
        return "unknown"
    result = run_program([git, "-C", top, "rev-parse", "HEAD"], os.environ)
    return result.output.decode().strip() if not result.status else "unknown"
