"""`dolmen pkg push`: build packages, and push their images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
def push(
    ctx: typer.Context,
    directories: Directories,
    *,
    options: PackageBuildOptions,
    printing: PrintOptions,
) -> None:
    """Build missing images and push them: the index as TAG, each architecture as TAG-ARCH.

    \b
        dolmen pkg push --org reg.example.com/team pkg/sshd
        dolmen pkg push --release v1.0 pkg/sshd

    The same as `dolmen pkg build --push`. With --force, tags at the registry are
    replaced.
    """
    run_build(settings_of(ctx), directories, replace(options, push=True), printing)
