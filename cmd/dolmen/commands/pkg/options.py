"""Options that commands for packages share; each group changes some fields of the library's."""

from __future__ import annotations

import inspect
import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.package_options import build_arguments, builder_options, debian_options, platforms
from dolmen.registries import Creds, Insecure
from dolmen.settings import env_or_linuxkit, settings_of
from dolmen.sources import image_sources

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions

Directories = Annotated[
    list[Path],
    typer.Argument(metavar="DIR...", help="Directories of packages.", show_default=False),
]


DebianMirror = Annotated[
    list[str] | None,
    typer.Option(
        metavar="URL",
        help="Take Debian packages from there and not from this machine's mirrors; repeatable.  "
        "[env: DOLMEN_DEBIAN_MIRROR]",
    ),
]
DebianKeyring = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The keys that the archives are signed with.  [env: DOLMEN_DEBIAN_KEYRING]",
    ),
]
RecipeEngine = Annotated[
    str,
    typer.Option(
        "--recipe-engine",
        metavar="NAME",
        help="What chooses Debian packages: auto, apt or python.  [env: DOLMEN_RECIPE_ENGINE]",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platforms",
        metavar="OS/ARCH,...",
        help="Build for these only, instead of build.yml's; repeatable.",
    ),
]
Refresh = Annotated[
    bool, typer.Option("--refresh", help="Fetch the indexes of the archives again.")
]


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
    typer.Option("--dockerfile", metavar="NAME", help="The Dockerfile, instead of build.yml's."),
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


_PROGRESS = ("auto", "plain", "tty")


@dataclass(frozen=True, slots=True)
class PrintOptions:
    """What a build of packages prints."""

    dry_run: bool = False
    # auto, plain or tty.
    progress: str = "auto"


def naming_options(
    build_yml: Annotated[
        str, typer.Option(metavar="NAME", help="The file that describes the package.")
    ] = "build.yml",
    org: Annotated[
        str | None,
        typer.Option(
            metavar="ORG",
            help="The part of the name before the image's.  "
            "[env: DOLMEN_PKG_ORG, LINUXKIT_PKG_ORG]",
        ),
    ] = None,
    tag: Annotated[
        str | None,
        typer.Option(
            metavar="TEMPLATE", help="The tag, instead of build.yml's; {{.Hash}} is the hash."
        ),
    ] = None,
    hash: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option(metavar="HASH", help="The hash, instead of the tree's.")
    ] = None,
    hash_commit: Annotated[
        str, typer.Option(metavar="COMMIT", help="The commit whose tree is hashed.")
    ] = "HEAD",
    hash_path: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Hash this parent directory instead of the package's."),
    ] = None,
    force_dirty: Annotated[
        bool, typer.Option("--force-dirty", help="Mark the tag as made of uncommitted changes.")
    ] = False,
    dev: Annotated[
        bool, typer.Option("--dev", help="Name it $USER/IMAGE with the hash `dev`.")
    ] = False,
    network: Annotated[
        bool, typer.Option("--network", help="Allow the network during the build.")
    ] = False,
    nonetwork: Annotated[
        bool, typer.Option("--nonetwork", help="No network during the build.")
    ] = False,
    enable_cache: Annotated[
        bool, typer.Option("--enable-cache", help="Use the builder's cache.")
    ] = False,
    disable_cache: Annotated[
        bool, typer.Option("--disable-cache", help="Do not use the builder's cache.")
    ] = False,
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set how packages are named, and what their build.yml leaves open."""
    from assembler.packages import Naming

    naming = Naming(
        org=org if org is not None else env_or_linuxkit(os.environ, "PKG_ORG") or None,
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
            "--builder-restart", help="Create the BuildKit builder again; its cache stays."
        ),
    ] = False,
    debian_mirror: DebianMirror = None,
    debian_keyring: DebianKeyring = None,
    recipe_engine: RecipeEngine = "",
    refresh: Refresh = False,
    offline: Offline = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set where Debian packages and images come from, and what builds."""
    builders_ = builder_options(
        builder, builders, builder_name, builder_image, builder_config, restart=builder_restart
    )

    def update(options: PackageBuildOptions) -> PackageBuildOptions:
        return replace(
            options,
            debian=debian_options(debian_mirror, debian_keyring, recipe_engine, refresh=refresh),
            builder=builders_,
            sources=image_sources(
                settings_of(ctx),
                offline=offline,
                insecure=insecure,
                registry_creds=registry_creds,
            ),
        )

    return update


def build_options(
    force: Annotated[
        bool, typer.Option("--force", help="Build even what the store or the registry has.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Bring what the registry has instead of building it.")
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
    manifest: Annotated[
        bool,
        typer.Option(
            "--manifest/--no-manifest",
            help="Push the index TAG, and not the images TAG-ARCH alone.",
        ),
    ] = True,
    platforms_: Platforms = None,
    skip_platforms: Annotated[
        list[str] | None,
        typer.Option(metavar="OS/ARCH,...", help="Do not build for these; repeatable."),
    ] = None,
    build_arg_file: BuildArgFiles = None,
    dockerfile: DockerfileName = None,
    ssh: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ID[=SOCKET|KEY]",
            help="An agent or a key for RUN --mount=type=ssh, as `default`; repeatable.",
        ),
    ] = None,
    sbom_scanner: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE",
            help="Let BuildKit list what is in the image: by IMAGE, by its own scanner if that is "
            "empty; false for none.",
        ),
    ] = None,
    precache_images: Annotated[
        bool,
        typer.Option(
            "--precache-images", help="Without effect: bases always come into the store first."
        ),
    ] = False,
) -> Callable[[PackageBuildOptions], PackageBuildOptions]:
    """Set what is built, and what is done with it."""
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
        )

    return update


def print_options(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
    ] = False,
    progress_: Annotated[
        str,
        typer.Option(
            "--progress",
            metavar="HOW",
            help="auto; tty: the live display; plain: lines, all that builders print.",
        ),
    ] = "auto",
) -> PrintOptions:
    """Return how much is printed."""
    if progress_ not in _PROGRESS:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"unknown progress {progress_!r}",
            f"choose one of {', '.join(_PROGRESS)}",
        )
    return PrintOptions(dry_run, progress_)


def with_options(
    *updates: Callable[..., Callable[[PackageBuildOptions], PackageBuildOptions]],
    **groups: Callable[..., Any],
) -> Callable[[Callable[..., None]], Any]:
    """Give a command the options of groups.

    The command's argument `options` is a PackageBuildOptions that every update has changed; what
    another group returns is the argument of its name.
    """
    every = {**{f"update {n}": u for n, u in enumerate(updates)}, **groups}
    shared = {name: _parameters(group) for name, group in every.items()}

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        own = _parameters(command)

        @wraps(command)
        def run(**given: Any) -> None:  # noqa: ANN401 - typer's values
            made = {
                name: group(**{o: given[o] if o == "ctx" else given.pop(o) for o in shared[name]})
                for name, group in every.items()
            }
            if updates:
                made["options"] = _updated([made.pop(f"update {n}") for n in range(len(updates))])
            command(**given, **made)

        kept = [p for name, p in own.items() if name not in (*groups, "options")]
        parameters = [
            *kept,
            *(p for group in shared.values() for o, p in group.items() if o != "ctx"),
        ]
        together = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
        run.__signature__ = inspect.Signature(together)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in together}
        return run

    return decorated


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    # The library's type is imported when a command runs, and no option has it.
    placeholders = {"PackageBuildOptions": object}
    return inspect.signature(function, eval_str=True, locals=placeholders).parameters


def _updated(
    updates: list[Callable[[PackageBuildOptions], PackageBuildOptions]],
) -> PackageBuildOptions:
    from assembler.packages import PackageBuildOptions

    options = PackageBuildOptions()
    for update in updates:
        options = update(options)
    return options


def _either(yes: bool, no: bool, yes_option: str, no_option: str) -> bool | None:
    if yes and no:
        raise UsageError.of(
            usage.BAD_OPTION, f"{yes_option} and {no_option} cannot be given together"
        )
    return True if yes else False if no else None


def _user() -> str:
    return os.environ.get("USER") or pwd.getpwuid(os.getuid()).pw_name
