"""Run a package build: progress, image names, errors."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from dolmen.next_command import show_next_step
from dolmen.output import print_json, print_line, show_diagnostics, wants_color
from dolmen.progress import progress_reporter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.config import Package
    from assembler.packages import PackageBuildOptions, PackageBuildResult
    from dolmen.commands.pkg.options import PrintOptions
    from dolmen.settings import Settings

# Shows all output of builders.
_BUILDER_OUTPUT = 2


def read_packages(
    settings: Settings, directories: Sequence[Path], options: PackageBuildOptions
) -> list[Package]:
    """Read the packages, and print their warnings."""
    from assembler import packages as library

    packages = library.read_packages(directories, options.build_file)
    if not settings.quiet:
        warnings = [w for package in packages for w in package.warnings]
        show_diagnostics(warnings, color=wants_color(sys.stderr, settings.color))
    return packages


def run_build(
    settings: Settings,
    directories: Sequence[Path],
    options: PackageBuildOptions,
    printing: PrintOptions,
) -> None:
    """Build and push packages, and print the names of the images or JSON."""
    try:
        result = _run_build(settings, directories, options, printing)
    except DolmenError as error:
        if printing.as_json:
            print_json({"packages": [], "errors": [d.as_json() for d in error.diagnostics]})
        raise
    if result is None:
        return
    result.check()
    if not printing.as_json and len(directories) == 1:
        show_next_step(settings, _use_of_image(directories[0], result, pushed=options.push))


def _template_of(directory: Path) -> str:
    """Return the reference to a package for an image.yml."""
    from assembler.catalog import CATALOG_PREFIX, catalog_name

    if name := catalog_name(directory):
        return f"{CATALOG_PREFIX}{name}"
    shown = str(directory)
    return f"@pkg:{shown}" if shown.startswith(("/", ".")) else f"@pkg:./{shown}"


def _use_of_image(directory: Path, result: PackageBuildResult, *, pushed: bool) -> str:
    """Return how an image.yml names the image of a package."""
    if pushed:
        name = next((package.name for package in result.packages), "")
    else:
        name = _template_of(directory)
    return f'write image: "{name}" into image.yml, then dolmen build image.yml'


def _run_build(
    settings: Settings,
    directories: Sequence[Path],
    options: PackageBuildOptions,
    printing: PrintOptions,
) -> PackageBuildResult | None:
    from assembler.packages import build_packages, check_package_options, describe_steps

    check_package_options(options)
    packages = read_packages(settings, directories, options)
    if printing.progress == "plain":
        settings = replace(settings, verbosity=max(settings.verbosity, _BUILDER_OUTPUT))
    with progress_reporter(settings, printing.progress) as reporter:
        if printing.dry_run:
            lines = [*describe_steps(packages, options, reporter)]
        else:
            result = build_packages(packages, options, reporter)
    if printing.dry_run:
        for line in lines:
            print_line(line)
        return None
    _print_result(result, as_json=printing.as_json)
    sys.stdout.flush()
    return result


def _print_result(result: PackageBuildResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result.as_json())
        return
    for package in result.packages:
        if package.complete:
            print_line(package.name)
