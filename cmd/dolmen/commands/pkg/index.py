"""`dolmen pkg index`: make the index of what was pushed for each architecture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.options import Directories, naming_options, with_options
from dolmen.console import progress, say
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions

app = command_app()


@app.command()
@with_options(naming_options)
def index(
    ctx: typer.Context,
    directories: Directories,
    release: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="The index of a release."),
    ] = None,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    *,
    options: PackageBuildOptions,
) -> None:
    """Make the index TAG, at the registry, of what machines have pushed as TAG-ARCH.

    \b
        dolmen pkg index --org reg.example.com/team pkg/sshd

    Of the architectures in build.yml those are listed that the registry has.
    """
    from assembler.packages import Remote, package_name, read_package

    settings = settings_of(ctx)
    remote = Remote(registry_options(settings, insecure, registry_creds))
    chosen = replace(options, release=release)
    lines = []
    with progress(settings) as reporter:
        for directory in directories:
            package = read_package(directory, options.build_file)
            name = package_name(package, chosen)
            listed = remote.index(name.reference(), package.build.arches, reporter)
            lines.append(f"{name} {','.join(map(str, listed))}")
    for line in lines:
        say(line)
