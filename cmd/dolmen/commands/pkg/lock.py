"""`dolmen pkg lock`: lock the Debian packages of recipes."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.commands.pkg.options import (
    BuildYml,
    DebianKeyring,
    DebianMirror,
    OwnDirectories,
    Platforms,
    RecipeEngine,
)
from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_line
from dolmen.package_options import debian_options, platforms
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of
from dolmen.sources import image_sources

app = command_app()


@app.command()
def lock(
    ctx: typer.Context,
    directories: OwnDirectories,
    build_yml: BuildYml = "build.yml",
    platforms_: Platforms = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Write nothing; exit with 1 if a lock is out of date."),
    ] = False,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
) -> None:
    """Lock each recipe to the newest Debian packages, in its debs.lock.

    \b
        dolmen pkg lock pkg/runc && git add pkg/runc/debs.lock
        dolmen pkg lock --check pkg/*

    A lock that is up to date is not touched.
    """
    from assembler.packages import PackageBuildOptions, check_locks, lock_packages

    settings = settings_of(ctx)
    options = PackageBuildOptions(
        build_file=build_yml,
        platforms=platforms(platforms_),
        debian=debian_options(debian_mirror, debian_keyring, recipe_engine, refresh=True),
        sources=image_sources(settings),
    )
    with progress_reporter(settings) as reporter:
        locks = lock_packages(directories, options, reporter)
    if check:
        check_locks(locks)
    for lock in locks:
        print_line(str(lock.path if check else lock.write()))
    if not check:
        show_next_command(settings, "dolmen", "pkg", "build", *directories)
