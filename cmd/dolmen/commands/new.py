"""`dolmen new`: write a commented YAML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_document, print_note
from dolmen.settings import settings_of

app = command_app()


def _templates() -> list[str]:
    from assembler.scaffold import template_names

    return template_names()


def _template(value: str) -> str:
    known = _templates()
    if value not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}")
    return value


@app.command()
def new(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(help="The file to write; `-` prints it.", metavar="[FILE]")
    ] = "-",
    template: Annotated[
        str,
        typer.Option(
            help="minimal, service or sshd.",
            metavar="NAME",
            callback=_template,
            autocompletion=_templates,
        ),
    ] = "minimal",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented YAML file to start from.

    \b
    dolmen new image.yml                       # kernel, init and a console
    dolmen new --template service web.yml      # ... a network and a web server
    dolmen new --template sshd box.yml         # ... and a login by SSH
    dolmen new                                 # to standard output

    The first line names the schema, with which editors complete and explain keys.
    """
    from assembler.scaffold import render_template, write_new_file

    if file == "-":
        print_document(render_template(template).rstrip("\n") + "\n")
        return
    write_new_file(Path(file), template, replace=force)
    if not settings_of(ctx).quiet:
        print_note(f"wrote {file}; build it with: dolmen build {file}")
