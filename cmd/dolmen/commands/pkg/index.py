"""`dolmen pkg index`: push the index of the architectures at a registry."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from dolmen.commands.pkg.option_groups import with_options
from dolmen.commands.pkg.options import Directories, Release, naming_options
from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of
from dolmen.sources import image_sources

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions

app = command_app()


@app.command()
@with_options(naming_options)
def index(
    ctx: typer.Context,
    directories: Directories,
    release: Release = None,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    *,
    options: PackageBuildOptions,
) -> None:
    """Push an index TAG that combines the images TAG-ARCH at the registry.

    \b
        dolmen pkg index --org reg.example.com/team pkg/sshd

    Use it after several machines have pushed with --no-manifest. The index lists those
    architectures of build.yml that the registry has.
    """
    from assembler.packages import push_package_indexes

    settings = settings_of(ctx)
    sources = image_sources(settings, insecure=insecure, registry_creds=registry_creds)
    with progress_reporter(settings) as reporter:
        pushed = push_package_indexes(
            directories, replace(options, release=release, sources=sources), reporter
        )
    for item in pushed:
        print_line(f"{item.name} {','.join(map(str, item.platforms))}")
