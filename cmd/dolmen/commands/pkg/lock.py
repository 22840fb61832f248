"""`dolmen pkg lock`: write down exactly which Debian packages recipes are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.commands.pkg.options import Directories
from dolmen.commands.pkg.recipes import (
    DebianKeyring,
    DebianMirror,
    Platforms,
    engine_for,
    platforms,
)
from dolmen.console import progress, say
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


@app.command()
def lock(
    ctx: typer.Context,
    directories: Directories,
    build_yml: Annotated[
        str, typer.Option(metavar="NAME", help="The file that describes the package.")
    ] = "build.yml",
    platforms_: Platforms = None,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
) -> None:
    """Choose the newest Debian packages for each recipe, and write them to its debs.lock.

    \b
        dolmen pkg lock pkg/runc && git add pkg/runc/debs.lock
    """
    from assembler.codes import packages
    from assembler.errors import PackageError
    from assembler.packages.buildfile import read_package
    from assembler.packages.building import platforms_of
    from assembler.packages.debs.lock import write_lock
    from assembler.packages.debs.recipe import lock_for

    settings = settings_of(ctx)
    found = [read_package(d, build_yml) for d in directories]
    written = []
    with progress(settings) as reporter:
        engine = engine_for(settings, reporter, debian_mirror, debian_keyring, refresh=True)
        for package in found:
            debs = package.build.debs
            if debs is None:
                raise PackageError.of(
                    packages.BAD_RECIPE,
                    f"{package.directory} has no recipe, so there is nothing to lock",
                )
            chosen = lock_for(debs, platforms_of(package, platforms(platforms_)), engine)
            written.append(write_lock(package.directory, chosen))
    for path in written:
        say(str(path))
