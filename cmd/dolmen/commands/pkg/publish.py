"""`dolmen pkg publish`: push a repository of packages to a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of
from dolmen.sources import image_sources

app = command_app()


@app.command()
def publish(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A directory in the git repository.")
    ],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name and tag at the registry.")],
    override: Annotated[
        bool, typer.Option("--override", help="Replace a tag that is another commit or image.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Push the commit of a git repository to a registry, for references with @oci:.

    \b
    dolmen pkg publish . reg.example.com/team/packages:1.0

    An image.yml then names a package of it: @oci:reg.example.com/team/packages:1.0//pkg/web. The
    artifact has the files of the commit, without its history. It prints the name with its digest.
    """
    from assembler.git_sources import publish_packages
    from assembler.oci import Reference

    settings = settings_of(ctx)
    sources = image_sources(settings, insecure=insecure, registry_creds=registry_creds)
    with progress_reporter(settings) as reporter:
        pushed = publish_packages(
            directory, Reference.parse(name), sources, override=override, reporter=reporter
        )
    print_line(str(pushed))
