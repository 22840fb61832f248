"""Options shared by package commands; each group sets some fields of PackageBuildOptions."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.package_options import build_arguments, builder_options, debian_options, platforms
from dolmen.registries import Creds, Insecure
from dolmen.setting_values import text_of
from dolmen.settings import settings_of
from dolmen.sources import MaxImageSize, image_sources

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions


def _locate(directories: list[Path]) -> list[Path]:
    """Return the directories, with those of the catalogue instead of `@dolmen:NAME`."""
    from assembler.packages import locate_package

    return [locate_package(directory) for directory in directories]


Directories = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR...",
        help="Package directories, or @dolmen:NAME.",
        show_default=False,
        callback=_locate,
    ),
]


def _refuse_catalog(directories: list[Path]) -> list[Path]:
    """Return the directories; those of the catalogue are not written to."""
    from assembler.catalog import CATALOG_PREFIX
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.packages import locate_package

    for directory in directories:
        if str(directory).startswith(CATALOG_PREFIX):
            raise UsageError.of(
                usage.BAD_OPTION,
                f"{directory} is a package of Dolmen, which has no lock",
                f"copy it, and lock the copy: cp -r {locate_package(directory)} .",
            )
    return directories


# Of commands that write into them.
OwnDirectories = Annotated[
    list[Path],
    typer.Argument(
        metavar="DIR...",
        help="Package directories.",
        show_default=False,
        callback=_refuse_catalog,
    ),
]


DebianMirror = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Debian mirror to use instead of this machine's mirrors; repeatable.  "
        "[env: DOLMEN_DEBIAN_MIRROR]",
    ),
]
DebianKeyring = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Keyring to verify Debian archives with.  [env: DOLMEN_DEBIAN_KEYRING]",
    ),
]
RecipeEngine = Annotated[
    str,
    typer.Option(
        "--recipe-engine",
        metavar="NAME",
        help="Resolver of Debian packages: auto, apt or python.  [env: DOLMEN_RECIPE_ENGINE]",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platforms",
        metavar="OS/ARCH,...",
        help="Platforms to build for; repeatable.  [default: those of build.yml]",
    ),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Re-fetch the package indexes of Debian archives.")
]


Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Use no network; images and Debian packages must be in the store."
    ),
]
BuildArgFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--build-arg-file",
        metavar="FILE",
        help="File with build arguments, one KEY=VALUE per line; repeatable.",
    ),
]
DockerfileName = Annotated[
    str | None,
    typer.Option(
        "--dockerfile", metavar="NAME", help="Name of the Dockerfile.  [default: that of build.yml]"
    ),
]
BuilderName = Annotated[
    str,
    typer.Option(
        "--builder",
        metavar="NAME",
        help="Builder of Dockerfiles: auto, buildkit, buildah or docker. Images of another builder "
        "are rebuilt, except with auto.  [env: DOLMEN_BUILDER]",
    ),
]


BuildYml = Annotated[str, typer.Option(metavar="NAME", help="Name of the package's build file.")]
Release = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Tag of a release; uncommitted changes are an error."),
]
_PROGRESS = ("auto", "plain", "tty")


@dataclass(frozen=True, slots=True)
class PrintOptions:
    """The output of a package build."""

    dry_run: bool = False
    # auto, plain or tty.
    progress: str = "auto"
    as_json: bool = False


def naming_options(
    build_yml: BuildYml = "build.yml",
    org: Annotated[
        str | None,
        typer.Option(
            metavar="ORG",
            help="Organization in the image name.  [env: DOLMEN_PKG_ORG, LINUXKIT_PKG_ORG]",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE",
            help="Tag template; {{.Hash}} is the tree hash.  [default: build.yml's]",
        ),
    ] = None,
    hash: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(metavar="HASH", help="Use this hash instead of the tree hash.")
    ] = None,
    hash_commit: Annotated[
        str, typer.Option(metavar="COMMIT", help="Commit to hash the tree of.")
    ] = "HEAD",
    hash_path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Hash this parent directory, not the package's."),
    ] = None,
    force_dirty: Annotated[
        bool, typer.Option("--force-dirty", help="Add -dirty to the hash in any case.")
    ] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="Use $USER as the organization and `dev` as the hash.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Allow network access during RUN.")
    ] = False,
    nonetwork: Annotated[
        bool, typer.Option("--nonetwork", help="Forbid network access during RUN.")
    ] = False,
    enable_cache: Annotated[
        bool, typer.Option("--enable-cache", help="Use the builder's cache.")
    ] = False,
    disable_cache: Annotated[
        bool, typer.Option("--disable-cache", help="Do not use the builder's cache.")
    ] = False,
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set the naming of packages, and options that override build.yml."""
    from assembler.packages import Naming

    naming = Naming(
        org=org if org is not None else text_of("packages.organization") or None,
        tag=tag,
        hash=hash or None,
        commit=hash_commit,
        hash_path=hash_path,
        force_dirty=force_dirty,
    )

    def update(options: PackageBuildOptions) -> PackageBuildOptions:
        return replace(
            options,
            build_file=build_yml,
            naming=naming.for_development(_user()) if dev else naming,
            network=_either(network, nonetwork, "--network", "--nonetwork"),
            cache=_either(enable_cache, disable_cache, "--enable-cache", "--disable-cache"),
        )

    return update


def source_options(
    ctx: typer.Context,
    builder: BuilderName = "",
    builders: Annotated[
        list[str] | None,
        typer.Option(
            metavar="OS/ARCH=CONTEXT",
            help="Docker context with a BuildKit for a platform; repeatable. Contexts named "
            "dolmen-OS-ARCH are found automatically.  [env: DOLMEN_BUILDERS, LINUXKIT_BUILDERS]",
        ),
    ] = None,
    builder_name: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Builder of `docker buildx` to use or create.  [env: DOLMEN_BUILDER_NAME, "
            "LINUXKIT_BUILDER_NAME]",
        ),
    ] = "",
    builder_image: Annotated[
        str,
        typer.Option(
            metavar="IMAGE",
            help="Image for a new builder.  [env: DOLMEN_BUILDER_IMAGE, LINUXKIT_BUILDER_IMAGE]",
        ),
    ] = "",
    builder_config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Configuration file for a new builder.  [env: DOLMEN_BUILDER_CONFIG, "
            "LINUXKIT_BUILDER_CONFIG]",
        ),
    ] = None,
    builder_restart: Annotated[
        bool,
        typer.Option("--builder-restart", help="Recreate the BuildKit builder; its cache is kept."),
    ] = False,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
    refresh: Refresh = False,
    offline: Offline = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    max_image_size: MaxImageSize = "",
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set the builder, and the sources of Debian packages and images."""
    builder_choice = builder_options(
        builder, builders, builder_name, builder_image, builder_config, restart=builder_restart
    )

    def update(options: PackageBuildOptions) -> PackageBuildOptions:
        return replace(
            options,
            debian=debian_options(debian_mirror, debian_keyring, recipe_engine, refresh=refresh),
            builder=builder_choice,
            sources=image_sources(
                settings_of(ctx),
                offline=offline,
                insecure=insecure,
                registry_creds=registry_creds,
                max_size=max_image_size,
            ),
        )

    return update


def build_options(
    force: Annotated[
        bool,
        typer.Option("--force", help="Rebuild images that the store or registry has."),
    ] = False,
    pull: Annotated[
        bool,
        typer.Option("--pull", help="Pull images instead of building them, if possible."),
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Load the images into the local Docker daemon, too.")
    ] = False,
    nobuild: Annotated[
        bool, typer.Option("--nobuild", help="Do not build; push or load images from the store.")
    ] = False,
    ignore_cached: Annotated[
        bool,
        typer.Option("--ignore-cached", help="Re-check registries for cached base images."),
    ] = False,
    release: Release = None,
    manifest: Annotated[
        bool,
        typer.Option(
            "--manifest/--no-manifest",
            help="Push the index TAG, not only the images TAG-ARCH.",
        ),
    ] = True,
    platforms_: Platforms = None,
    skip_platforms: Annotated[
        list[str] | None,
        typer.Option(metavar="OS/ARCH,...", help="Platforms to skip; repeatable."),
    ] = None,
    build_arg_file: BuildArgFiles = None,
    dockerfile: DockerfileName = None,
    ssh: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID[=SOCKET|KEY]",
            help="SSH agent or key for RUN --mount=type=ssh, such as `default`; repeatable.",
        ),
    ] = None,
    sbom_scanner: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="Image of BuildKit's SBOM scanner; empty for the default one, false for none.",
        ),
    ] = None,
    precache_images: Annotated[
        bool,
        typer.Option("--precache-images", help="No effect: base images are always pulled first."),
    ] = False,
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set the images to build, and their destination."""
    _ = precache_images

    def update(options: PackageBuildOptions) -> PackageBuildOptions:
        return replace(
            options,
            force=force,
            fetch=pull,
            load=docker,
            no_build=nobuild,
            release=release,
            index=manifest,
            platforms=platforms(platforms_),
            skip_platforms=platforms(skip_platforms),
            arguments=build_arguments(build_arg_file),
            dockerfile=dockerfile,
            ssh=tuple(ssh or ()),
            scanner=None if sbom_scanner == "false" else sbom_scanner,
            sources=replace(options.sources, pull=ignore_cached),
        )

    return update


def print_options(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, without doing it.")
    ] = False,
    progress_: Annotated[
        str,
        typer.Option(
            "--progress",
            metavar="HOW",
            help="Progress output: auto, tty (live display) or plain (all output of builders).",
        ),
    ] = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON: images, platforms, errors.")
    ] = False,
) -> PrintOptions:
    """Return the output options."""
    if as_json and dry_run:
        raise UsageError.of(
            usage.BAD_OPTION, "--json and --dry-run exclude each other", "remove one of them"
        )
    if progress_ not in _PROGRESS:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--progress: invalid value {progress_!r}",
            f"use one of {', '.join(_PROGRESS)}",
        )
    return PrintOptions(dry_run, progress_, as_json)


def _either(yes: bool, no: bool, yes_option: str, no_option: str) -> bool | None:
    if yes and no:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{yes_option} and {no_option} exclude each other",
            "remove one of them",
        )
    return True if yes else False if no else None


def _user() -> str:
    return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
