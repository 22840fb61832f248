"""`dolmen pkg build`: make the images of packages."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from dolmen.commands.pkg.making import Making, making_options, run
from dolmen.commands.pkg.means import Access, access_options
from dolmen.commands.pkg.options import (
    Directories,
    PackageOptions,
    common_options,
    with_options,
)
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


@app.command()
@with_options(making=making_options, access=access_options, options=common_options)
def build(
    ctx: typer.Context,
    directories: Directories,
    push: Annotated[
        bool, typer.Option("--push", help="Push the images when all are built.")
    ] = False,
    *,
    making: Making,
    access: Access,
    options: PackageOptions,
) -> None:
    """Make the images of packages and put them into the store; print their names.

    \b
        dolmen pkg build pkg/runc
        dolmen pkg build --platforms linux/arm64 pkg/*
        dolmen pkg build --push --org reg.example.com/team pkg/*

    What the store or the registry has is not built. Packages come after those
    they begin with, which are built as well if nobody has them.
    """
    run(settings_of(ctx), directories, options, access, replace(making, push=push))
