"""Building and pushing packages, for every command that does."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.commands.pkg.means import (
    Access,
    BuildArgFiles,
    DockerfileName,
    builder_of,
    given_arguments,
    means_of,
)
from dolmen.commands.pkg.recipes import Platforms, platforms
from dolmen.console import progress, say, show_diagnostics, wants_color

if TYPE_CHECKING:
    from assembler.packages.batch import Wish
    from dolmen.commands.pkg.options import PackageOptions
    from dolmen.settings import Settings

_PROGRESS = ("auto", "plain", "tty")
# Everything that a builder prints.
_ALL_LINES = 2


@dataclass(frozen=True, slots=True)
class Making:
    """What a command is asked to build and to push."""

    platforms: list[str] | None = None
    skip_platforms: list[str] | None = None
    build_arg_files: list[Path] | None = None
    dockerfile: str | None = None
    release: str | None = None
    force: bool = False
    pull: bool = False
    push: bool = False
    manifest: bool = True
    no_build: bool = False
    docker: bool = False
    dry_run: bool = False
    ssh: tuple[str, ...] = ()
    sbom_scanner: str | None = None
    progress: str = "auto"


def making_options(
    force: Annotated[
        bool, typer.Option("--force", help="Build even what the store or the registry has.")
    ] = False,
    pull: Annotated[
        bool, typer.Option("--pull", help="Bring what the registry has in place of building it.")
    ] = False,
    docker: Annotated[
        bool, typer.Option("--docker", help="Load the images into the local Docker daemon, too.")
    ] = False,
    nobuild: Annotated[
        bool, typer.Option("--nobuild", help="Build nothing; for --push of what is there.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")
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
    progress_: Annotated[
        str,
        typer.Option(
            "--progress",
            metavar="HOW",
            help="auto; tty: the live display; plain: lines, all that builders print.",
        ),
    ] = "auto",
) -> Making:
    """Return what the options say of what is built, and of what is done with it."""
    _ = precache_images
    if progress_ not in _PROGRESS:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"there is no progress {progress_!r}",
            f"there are {', '.join(_PROGRESS)}",
        )
    return Making(
        platforms=platforms_,
        skip_platforms=skip_platforms,
        build_arg_files=build_arg_file,
        dockerfile=dockerfile,
        release=release,
        force=force,
        pull=pull,
        manifest=manifest,
        no_build=nobuild,
        docker=docker,
        dry_run=dry_run,
        ssh=tuple(ssh or ()),
        sbom_scanner=None if sbom_scanner == "false" else sbom_scanner,
        progress=progress_,
    )


def run(
    settings: Settings,
    directories: list[Path],
    options: PackageOptions,
    access: Access,
    making: Making,
) -> None:
    """Build, push, and print the names of the images."""
    from assembler.oci.store import Store
    from assembler.packages.batch import build_all
    from assembler.packages.buildfile import read_package
    from assembler.packages.intended import intended

    _check(making, access)
    means = means_of(settings, access)
    wish = _wish(options, making, builder_of(access.builder))
    found = [read_package(d, options.build_yml) for d in directories]
    if not settings.quiet:
        warnings = [w for package in found for w in package.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    if making.progress == "plain":
        settings = replace(settings, verbosity=max(settings.verbosity, _ALL_LINES))
    with progress(settings, making.progress) as reporter:
        store = Store(settings.cache)
        if making.dry_run:
            lines = [*intended(store, found, wish, means(reporter))]
        else:
            done = build_all(store, found, wish, means(reporter), reporter)
    if making.dry_run:
        for line in lines:
            say(line)
        return
    for built in done.asked:
        if not (built.failures or built.left):
            say(built.name)
    sys.stdout.flush()
    done.check()


def _wish(options: PackageOptions, making: Making, builder: str) -> Wish:
    from assembler.packages.batch import Wish
    from assembler.packages.building import GivenTerms

    terms = GivenTerms(options.network, options.cache, making.ssh, making.sbom_scanner, builder)
    return Wish(
        naming=options.naming,
        only=platforms(making.platforms),
        without=platforms(making.skip_platforms),
        arguments=given_arguments(making.build_arg_files),
        release=making.release,
        force=making.force,
        fetch=making.pull,
        push=making.push,
        index=making.manifest,
        no_build=making.no_build,
        load=making.docker,
        dockerfile=making.dockerfile,
        terms=terms,
    )


def _check(making: Making, access: Access) -> None:
    problem = None
    if making.no_build and making.force:
        problem = ("--nobuild and --force contradict each other", "leave one out")
    elif making.no_build and not (making.push or making.docker):
        problem = ("--nobuild leaves nothing to do", "it goes with --push or --docker")
    elif making.pull and making.force:
        problem = ("--pull and --force contradict each other", "leave one out")
    elif access.offline and (making.push or making.pull):
        problem = ("--offline opens no socket; --push and --pull need one", "leave one out")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)
