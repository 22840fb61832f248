"""`dolmen pkg new`: write the files of a new package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_note
from dolmen.settings import settings_of

app = command_app()


@app.command()
def new(
    ctx: typer.Context,
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Directory to create; its name becomes the image name."),
    ],
    debs: Annotated[
        bool, typer.Option("--debs", help="Use a recipe of Debian packages, not a Dockerfile.")
    ] = False,
    org: Annotated[
        str, typer.Option(metavar="ORG", help="Organization in the image name.")
    ] = "example",
) -> None:
    """Create a package: a commented build.yml, and a Dockerfile or a recipe.

    \b
        dolmen pkg new pkg/web
        dolmen pkg new --debs pkg/runc
    """
    from assembler.packages import write_new_package

    write_new_package(directory, org, recipe=debs)
    settings = settings_of(ctx)
    if not settings.quiet:
        print_note(f"wrote {directory}")
    show_next_command(settings, "dolmen", "pkg", "build", directory, always=True)
