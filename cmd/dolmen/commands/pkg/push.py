"""`dolmen pkg push`: send the images of packages to their registries."""

from __future__ import annotations

from dataclasses import replace

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
def push(
    ctx: typer.Context,
    directories: Directories,
    *,
    making: Making,
    access: Access,
    options: PackageOptions,
) -> None:
    """Build what is missing and push it: the index as TAG, each architecture as TAG-ARCH.

    \b
        dolmen pkg push --org reg.example.com/team pkg/sshd
        dolmen pkg push --release v1.0 pkg/sshd

    It is `dolmen pkg build --push`. With --force, what the registry has under
    the same name is replaced.
    """
    run(settings_of(ctx), directories, options, access, replace(making, push=True))
