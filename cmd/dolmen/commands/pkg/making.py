"""Building and pushing packages, for every command that does."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.commands.pkg.means import Access, given_arguments, means_of
from dolmen.commands.pkg.recipes import platforms
from dolmen.console import progress, say, show_diagnostics, wants_color

if TYPE_CHECKING:
    from dolmen.commands.pkg.options import PackageOptions
    from dolmen.settings import Settings


@dataclass(frozen=True, slots=True)
class Making:
    """What a command is asked to build and to push."""

    directories: list[Path]
    options: PackageOptions
    access: Access
    platforms: list[str] | None = None
    skip_platforms: list[str] | None = None
    build_arg_files: list[Path] | None = None
    dockerfile: str | None = None
    release: str | None = None
    force: bool = False
    pull: bool = False
    push: bool = False
    no_build: bool = False
    docker: bool = False


def run(settings: Settings, making: Making) -> None:
    """Build, push, and print the names of the images."""
    from assembler.oci.store import Store
    from assembler.packages.batch import Wish, build_all
    from assembler.packages.buildfile import read_package
    from assembler.packages.building import GivenTerms

    _check(making)
    means = means_of(settings, making.access)
    options = making.options
    wish = Wish(
        naming=options.naming,
        only=platforms(making.platforms),
        without=platforms(making.skip_platforms),
        arguments=given_arguments(making.build_arg_files),
        release=making.release,
        force=making.force,
        fetch=making.pull,
        push=making.push,
        no_build=making.no_build,
        load=making.docker,
        dockerfile=making.dockerfile,
        terms=GivenTerms(network=options.network, cached=options.cache),
    )
    found = [read_package(d, options.build_yml) for d in making.directories]
    if not settings.quiet:
        warnings = [w for package in found for w in package.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    with progress(settings) as reporter:
        store = Store(settings.cache)
        done = build_all(store, found, wish, means(reporter), reporter)
    for built in done:
        say(built.name)


def _check(making: Making) -> None:
    problem = None
    if making.no_build and making.force:
        problem = ("--nobuild and --force contradict each other", "leave one out")
    elif making.no_build and not making.push:
        problem = ("--nobuild leaves nothing to do", "it goes with --push")
    elif making.pull and making.force:
        problem = ("--pull and --force contradict each other", "leave one out")
    elif making.access.offline and (making.push or making.pull):
        problem = ("--offline opens no socket; --push and --pull need one", "leave one out")
    if problem:
        raise UsageError.of(usage.BAD_OPTION, *problem)
