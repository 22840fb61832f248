"""`dolmen pkg show-tag`: print what packages are called."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dolmen.commands.pkg.options import Directories, PackageOptions, with_common_options
from dolmen.console import say, show_diagnostics, wants_color
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


@app.command()
@with_common_options
def show_tag(
    ctx: typer.Context,
    directories: Directories,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="Print the name with its registry.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="TAG", help="Print the name of a release; nothing may be uncommitted."
        ),
    ] = None,
    *,
    options: PackageOptions,
) -> None:
    """Print the name of each package's image, one a line.

    \b
        dolmen pkg show-tag pkg/sshd
        dolmen pkg show-tag --canonical --org example pkg/*
    """
    from assembler.packages.buildfile import read_package
    from assembler.packages.tags import name_of

    found = [read_package(d, options.build_yml) for d in directories]
    names = [name_of(package, options.naming) for package in found]
    settings = settings_of(ctx)
    if not settings.quiet:
        warnings = [w for package in found for w in package.warnings]
        warnings += [w for name in names for w in name.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    if release is not None:
        names = [name.released(release) for name in names]
    for name in names:
        say(name.canonical if canonical else str(name))
