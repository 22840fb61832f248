"""`dolmen pkg lock`: write down exactly which Debian packages recipes are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.commands.pkg.options import (
    DebianKeyring,
    DebianMirror,
    Directories,
    Platforms,
    RecipeEngine,
)
from dolmen.console import progress, say
from dolmen.lazy import command_app
from dolmen.package_options import debian_options, platforms
from dolmen.settings import settings_of
from dolmen.sources import image_sources

app = command_app()


@app.command()
def lock(
    ctx: typer.Context,
    directories: Directories,
    build_yml: Annotated[
        str, typer.Option(metavar="NAME", help="The file that describes the package.")
    ] = "build.yml",
    platforms_: Platforms = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; end with 1 if a lock is not of the newest."),
    ] = False,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
) -> None:
    """Choose the newest Debian packages for each recipe, and write them to its debs.lock.

    \b
        dolmen pkg lock pkg/runc && git add pkg/runc/debs.lock
        dolmen pkg lock --check pkg/*

    A lock of what is newest already is left as it is.
    """
    from assembler.packages import PackageBuildOptions, check_locks, lock_packages

    settings = settings_of(ctx)
    options = PackageBuildOptions(
        build_file=build_yml,
        platforms=platforms(platforms_),
        debian=debian_options(debian_mirror, debian_keyring, recipe_engine, refresh=True),
        sources=image_sources(settings),
    )
    with progress(settings) as reporter:
        locks = lock_packages(directories, options, reporter)
    if check:
        check_locks(locks)
    for lock in locks:
        say(str(lock.path if check else lock.write()))
