"""What packages are built with, from options and environment: engine, builder, registries."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.recipes import (
    Debian,
    DebianKeyring,
    DebianMirror,
    RecipeEngine,
    Refresh,
    engine_for,
)
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import env_list_or_linuxkit, env_or_linuxkit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.build.request import BuildPackages
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.packages.arguments import GivenArguments
    from assembler.packages.building import Means
    from dolmen.settings import Settings

Offline = Annotated[
    bool, typer.Option("--offline", help="Ask no registry: bases must be in the store.")
]
BuildArgFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--build-arg-file",
        metavar="FILE",
        help="Build arguments, a KEY=VALUE on each line; repeatable.",
    ),
]
DockerfileName = Annotated[
    str | None,
    typer.Option("--dockerfile", metavar="NAME", help="The Dockerfile, in place of build.yml's."),
]
BuilderName = Annotated[
    str,
    typer.Option(
        "--builder",
        metavar="NAME",
        help="What runs Dockerfiles: auto, buildkit, buildah or docker. What another has built is "
        "not kept, unless it is auto.  [env: DOLMEN_BUILDER]",
    ),
]


@dataclass(frozen=True, slots=True)
class Access:
    """Where Debian packages and images come from, and what builds: as the command line says it."""

    debian: Debian = field(default_factory=Debian)
    insecure: list[str] | None = None
    registry_creds: list[str] | None = None
    offline: bool = False
    builder: str = ""
    builders: list[str] | None = None
    builder_name: str = ""
    builder_image: str = ""
    builder_config: Path | None = None
    builder_restart: bool = False


def access_options(
    builder: BuilderName = "",
    builders: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OS/ARCH=CONTEXT",
            help="Build for a platform by BuildKit in a context of Docker; repeatable. A context "
            "dolmen-OS-ARCH needs no naming.  [env: DOLMEN_BUILDERS, LINUXKIT_BUILDERS]",
        ),
    ] = None,
    builder_name: Annotated[
        str, typer.Option(metavar="NAME", help="The builder of `docker buildx`.")
    ] = "",
    builder_image: Annotated[
        str, typer.Option(metavar="IMAGE", help="What a missing builder is made of.")
    ] = "",
    builder_config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The configuration of a new builder."),
    ] = None,
    builder_restart: Annotated[
        bool,
        typer.Option(
            "--builder-restart", help="Make the builder of BuildKit anew; what it keeps stays."
        ),
    ] = False,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
    refresh: Refresh = False,
    offline: Offline = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> Access:
    """Return what the options say of mirrors, registries and builders."""
    return Access(
        debian=Debian(debian_mirror, debian_keyring, recipe_engine, refresh),
        insecure=insecure,
        registry_creds=registry_creds,
        offline=offline,
        builder=builder,
        builders=builders,
        builder_name=builder_name,
        builder_image=builder_image,
        builder_config=builder_config,
        builder_restart=builder_restart,
    )


def builder_of(given: str) -> str:
    """Return the builder that an option or the environment names, or nothing."""
    from assembler.codes import usage
    from assembler.dockerfile.builders import AUTO, NAMES
    from assembler.errors import UsageError

    builder = given or env_or_linuxkit(os.environ, "BUILDER") or AUTO
    if builder not in NAMES:
        raise UsageError.of(
            usage.BAD_OPTION, f"there is no builder {builder!r}", f"there are {', '.join(NAMES)}"
        )
    return "" if builder == AUTO else builder


def means_of(settings: Settings, access: Access) -> Callable[[Reporter], Means]:
    """Return what makes the means for a reporter; options are checked at once."""
    from assembler.dockerfile.builders import AUTO, Builders, read_contexts
    from assembler.dockerfile.buildx import BuildKitOptions

    builder = builder_of(access.builder) or AUTO
    buildkit = BuildKitOptions(
        read_contexts(access.builders or env_list_or_linuxkit(os.environ, "BUILDERS")),
        access.builder_name,
        access.builder_image,
        access.builder_config.absolute() if access.builder_config else None,
        access.builder_restart,
    )

    def make(reporter: Reporter) -> Means:
        from assembler.oci.fetching import Fetcher
        from assembler.oci.resolve import Sources
        from assembler.oci.store import Store
        from assembler.packages.building import Means

        store = Store(settings.cache)
        engine = engine_for(settings, reporter, access.debian)
        builders = Builders(store.root.absolute() / "buildah", reporter, builder, buildkit)
        if access.offline:
            return Means(engine, Sources(store, offline=True), builders)
        options = registry_options(settings, access.insecure, access.registry_creds)
        return Means(engine, Sources(store, Fetcher(options)), builders, options)

    return make


def given_arguments(files: list[Path] | None) -> GivenArguments:
    """Return the build arguments of files and of the environment."""
    from assembler.packages.arguments import GivenArguments, read_arguments

    pairs = tuple(pair for path in files or () for pair in read_arguments(path))
    return GivenArguments(pairs, dict(os.environ))


def package_builder(settings: Settings, access: Access) -> BuildPackages:
    """Return what builds packages for one platform, as `dolmen build` wants it."""
    means = means_of(settings, access)

    def build(
        directories: Sequence[Path], platform: Platform, reporter: Reporter, hashed: str | None
    ) -> None:
        from assembler.oci.store import Store
        from assembler.packages.batch import Wish, build_all
        from assembler.packages.buildfile import read_package
        from assembler.packages.tags import Naming

        found = [read_package(directory) for directory in directories]
        wish = Wish(
            naming=Naming(hash=hashed),
            only=(platform,),
            arguments=given_arguments(None),
            # Recipes that we bring have a name that nobody keeps for us at a registry.
            fetch=not access.offline and hashed is None,
        )
        build_all(Store(settings.cache), found, wish, means(reporter), reporter).check()

    return build
