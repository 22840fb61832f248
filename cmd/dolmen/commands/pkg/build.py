"""`dolmen pkg build`: build the images of packages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.build_run import run_build
from dolmen.commands.pkg.option_groups import with_options
from dolmen.commands.pkg.options import (
    Directories,
    PrintOptions,
    build_options,
    naming_options,
    print_options,
    source_options,
)
from dolmen.lazy import command_app
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions

app = command_app()


@app.command()
@with_options(naming_options, source_options, build_options, printing=print_options)
def build(
    ctx: typer.Context,
    directories: Directories,
    push: Annotated[bool, typer.Option("--push", help="Push the images after the build.")] = False,
    *,
    options: PackageBuildOptions,
    printing: PrintOptions,
) -> None:
    """Build the images of packages into the store, and print their names.

    \b
        dolmen pkg build pkg/runc
        dolmen pkg build --platforms linux/arm64 pkg/*
        dolmen pkg build --push --org reg.example.com/team pkg/*

    Images that the store or the registry has are not built. Local packages that these
    packages depend on are built first.
    """
    run_build(settings_of(ctx), directories, replace(options, push=push), printing)
