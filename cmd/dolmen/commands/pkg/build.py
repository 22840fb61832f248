"""`dolmen pkg build`: make the images of packages."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen.commands.pkg.options import Directories, PackageOptions, with_common_options
from dolmen.commands.pkg.recipes import (
    DebianKeyring,
    DebianMirror,
    Platforms,
    Refresh,
    engine_for,
    platforms,
)
from dolmen.console import progress, say, show_diagnostics, wants_color
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command()
@with_common_options
def build(
    ctx: typer.Context,
    directories: Directories,
    force: Annotated[
        bool, typer.Option("--force", help="Build even what the store has already.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Name it as a release; nothing may be uncommitted."),
    ] = None,
    platforms_: Platforms = None,
    skip_platforms: Annotated[
        list[str] | None,
        typer.Option(metavar="OS/ARCH,...", help="Do not build for these; repeatable."),
    ] = None,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    refresh: Refresh = False,
    dockerfile: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The Dockerfile, in place of build.yml's."),
    ] = None,
    build_arg_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Build arguments, a KEY=VALUE on each line; repeatable."),
    ] = None,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    *,
    options: PackageOptions,
) -> None:
    """Make the images of packages and put them into the store; print their names.

    \b
        dolmen pkg build pkg/runc
        dolmen pkg build --platforms linux/arm64 pkg/*
    """
    from assembler.oci.pull import Fetcher
    from assembler.oci.resolve import Sources
    from assembler.oci.store import Store
    from assembler.packages import building
    from assembler.packages.arguments import GivenArguments, read_arguments
    from assembler.packages.buildfile import read_package
    from assembler.packages.dockerfile.builders import Builders
    from assembler.packages.tags import name_of

    settings = settings_of(ctx)
    found = [read_package(d, options.build_yml) for d in directories]
    names = [name_of(package, options.naming) for package in found]
    if release is not None:
        names = [name.released(release) for name in names]
    arguments = GivenArguments(
        tuple(pair for path in build_arg_file or () for pair in read_arguments(path)), os.environ
    )
    only, without = platforms(platforms_), platforms(skip_platforms)
    jobs = [
        building.Job(
            package,
            name,
            building.platforms_of(package, only, without),
            force,
            naming=options.naming,
            network=options.network,
            arguments=arguments,
            dockerfile=dockerfile,
        )
        for package, name in zip(found, names, strict=True)
    ]
    if not settings.quiet:
        warnings = [w for package in found for w in package.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    done = []
    with progress(settings) as reporter:
        engine = engine_for(settings, reporter, debian_mirror, debian_keyring, refresh=refresh)
        store = Store(settings.cache)
        registries = registry_options(settings, insecure, registry_creds)
        sources = Sources(store, Fetcher(registries), pull=False)
        builders = Builders(store.root.absolute() / "buildah", reporter)
        means = building.Means(engine, sources, builders)
        done += [building.build(store, job, means, reporter) for job in jobs]
    for built in done:
        say(built.name)
