"""`dolmen pkg lock`: write down exactly which Debian packages recipes are made of."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.commands.pkg.options import Directories
from dolmen.commands.pkg.recipes import (
    Debian,
    DebianKeyring,
    DebianMirror,
    Platforms,
    RecipeEngine,
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
    from assembler.codes import packages
    from assembler.debian.lock import LOCK_FILE, read_lock, write_lock
    from assembler.debian.locking import differences, lock_for, renewed
    from assembler.diagnostics import Diagnostic
    from assembler.errors import PackageError
    from assembler.packages.buildfile import read_package
    from assembler.packages.building import platforms_of

    settings = settings_of(ctx)
    wanted = platforms(platforms_)
    recipes = []
    for package in [read_package(d, build_yml) for d in directories]:
        debs = package.build.debs
        if debs is None:
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"{package.directory} has no recipe, so there is nothing to lock",
            )
        recipes.append((package.directory, debs, platforms_of(package, wanted)))
    with progress(settings) as reporter:
        debian = Debian(debian_mirror, debian_keyring, recipe_engine, refresh=True)
        engine = engine_for(settings, reporter, debian)
        # All of them are chosen before one is written.
        found = [
            (directory, renewed(directory, debs, lock_for(debs, which, engine)))
            for directory, debs, which in recipes
        ]
    if check:
        different = [
            Diagnostic(
                packages.LOCK_BEHIND,
                f"{directory / LOCK_FILE} is not what there is now:\n" + "\n".join(lines),
                hints=(f"choose anew: dolmen pkg lock {directory}",),
            )
            for directory, lock in found
            if (lines := [*differences(read_lock(directory), lock)])
        ]
        if different:
            raise PackageError(different)
    for directory, lock in found:
        path = directory / LOCK_FILE
        say(str(path if check or lock == read_lock(directory) else write_lock(directory, lock)))
