"""`dolmen pkg push`: send the images of packages to their registries."""

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
)
from dolmen.commands.pkg.options import Directories, PackageOptions, with_common_options
from dolmen.commands.pkg.recipes import Debian, DebianKeyring, DebianMirror, Platforms, RecipeEngine
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure
from dolmen.settings import settings_of

app = command_app()


@app.command()
@with_common_options
def push(
    ctx: typer.Context,
    directories: Directories,
    nobuild: Annotated[
        bool, typer.Option("--nobuild", help="Build nothing; push what the store has.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Build anew, and replace what the registry has.")
    ] = False,
    release: Annotated[
        str | None,
        typer.Option(metavar="TAG", help="Push it as a release; nothing may be uncommitted."),
    ] = None,
    platforms_: Platforms = None,
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
    insecure: Insecure = None,
    registry_creds: Creds = None,
    *,
    options: PackageOptions,
) -> None:
    """Build what is missing and push it: the index as TAG, each architecture as TAG-ARCH.

    \b
        dolmen pkg push --org reg.example.com/team pkg/sshd
        dolmen pkg push --release v1.0 pkg/sshd
    """
    access = Access(
        debian=Debian(debian_mirror, debian_keyring, recipe_engine),
        insecure=insecure,
        registry_creds=registry_creds,
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
        build_arg_files=build_arg_file,
        dockerfile=dockerfile,
        release=release,
        force=force,
        push=True,
        no_build=nobuild,
    )
    run(settings_of(ctx), making)
