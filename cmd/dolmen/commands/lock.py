"""`dolmen lock`: lock the references of YAML files to commits."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of
from dolmen.sources import image_sources

app = command_app()


@app.command()
def lock(
    ctx: typer.Context,
    files: Annotated[list[str], typer.Argument(help="YAML files.", metavar="FILE...")],
    update: Annotated[
        list[str] | None,
        typer.Option(
            "--update",
            help="Resolve a repository again: its URL, the last part of it, or `all`; repeatable.",
            metavar="NAME",
        ),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Use no network.")] = False,
) -> None:
    """Lock the references of YAML files to commits, in the lock beside each file.

    \b
    dolmen lock image.yml                    # image.lock; commits that it has already stay
    dolmen lock --update packages image.yml  # moves https://example.org/packages.git
    dolmen lock --update all image.yml

    A build writes the lock as well, and never moves a commit. Commit the lock with the YAML file.
    """
    from assembler.build import lock_references

    settings = settings_of(ctx)
    with progress_reporter(settings) as reporter:
        locked = lock_references(
            files,
            image_sources(settings, offline=offline),
            update=update or (),
            progress=reporter.emit,
        )
    for entry in locked:
        changed = entry.before not in (None, entry.commit)
        was = f" (was {entry.before})" if changed else ""
        print_line(f"{entry.source} {entry.commit}{was}")
