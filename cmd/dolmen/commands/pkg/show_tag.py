"""`dolmen pkg show-tag`: print the image names of packages."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.build_run import read_packages
from dolmen.commands.pkg.option_groups import with_options
from dolmen.commands.pkg.options import Directories, Release, naming_options
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line, show_diagnostics, wants_color
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions

app = command_app()


@app.command()
@with_options(naming_options)
def show_tag(
    ctx: typer.Context,
    directories: Directories,
    canonical: Annotated[
        bool, typer.Option("--canonical", help="Include the registry in the name.")
    ] = False,
    release: Release = None,
    registry_creds: Annotated[  # noqa: ARG001 - scripts give it to all commands of a group
        list[str] | None,
        typer.Option(
            metavar="REGISTRY=USER:PASS", help="No effect: names need no registry; repeatable."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    *,
    options: PackageBuildOptions,
) -> None:
    """Print the name of each package's image, one per line.

    \b
        dolmen pkg show-tag pkg/sshd
        dolmen pkg show-tag --canonical --org example pkg/*
    """
    from assembler.packages import package_name

    settings = settings_of(ctx)
    chosen = replace(options, release=release)
    packages = read_packages(settings, directories, options)
    names = [package_name(package, chosen) for package in packages]
    if not settings.quiet:
        warnings = [w for name in names for w in name.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    if as_json:
        print_json(
            [
                {"directory": str(directory), **name.as_json()}
                for directory, name in zip(directories, names, strict=True)
            ]
        )
        return
    for name in names:
        print_line(name.canonical if canonical else str(name))
