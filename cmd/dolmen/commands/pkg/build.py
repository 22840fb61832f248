"""`dolmen pkg build`: make the images of packages."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.commands.pkg.making import Making, run
from dolmen.commands.pkg.means import (
    Access,
    BuildArgFiles,
    BuilderConfig,
    BuilderContainer,
    BuilderImage,
    BuilderName,
    BuildersByPlatform,
    DockerfileName,
    Offline,
)
from dolmen.commands.pkg.options import Directories, PackageOptions, with_common_options
from dolmen.commands.pkg.recipes import (
    Debian,
    DebianKeyring,
    DebianMirror,
    Platforms,
    RecipeEngine,
    Refresh,
)
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of

app = command_app()


@app.command()
@with_common_options
def build(
    ctx: typer.Context,
    directories: Directories,
    force: Annotated[
        bool, typer.Option("--force", help="Build even what the store or the registry has.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Bring what the registry has in place of building it.")
    ] = False,
    push: Annotated[
        bool, typer.Option("--push", help="Push the images when all are built.")
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Load the images into the local Docker daemon, too.")
    ] = False,
    nobuild: Annotated[
        bool, typer.Option("--nobuild", help="Build nothing; for --push of what is there.")
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
    build_arg_file: BuildArgFiles = None,
    dockerfile: DockerfileName = None,
    builder: BuilderName = "",
    builders: BuildersByPlatform = None,
    builder_name: BuilderContainer = "",
    builder_image: BuilderImage = "",
    builder_config: BuilderConfig = None,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
    refresh: Refresh = False,
    offline: Offline = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    *,
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
    access = Access(
        debian=Debian(debian_mirror, debian_keyring, recipe_engine, refresh),
        insecure=insecure,
        registry_creds=registry_creds,
        offline=offline,
        builder=builder,
        builders=builders,
        builder_name=builder_name,
        builder_image=builder_image,
        builder_config=builder_config,
    )
    making = Making(
        directories=directories,
        options=options,
        access=access,
        platforms=platforms_,
        skip_platforms=skip_platforms,
        build_arg_files=build_arg_file,
        dockerfile=dockerfile,
        release=release,
        force=force,
        pull=pull,
        push=push,
        no_build=nobuild,
        docker=docker,
    )
    run(settings_of(ctx), making)
