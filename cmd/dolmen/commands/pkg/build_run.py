"""A build of packages from the command line: progress, names, and errors."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from dolmen.console import progress, say, show_diagnostics, wants_color

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.config.package_model import Package
    from assembler.packages import PackageBuildOptions
    from dolmen.commands.pkg.options import PrintOptions
    from dolmen.settings import Settings

# Everything that a builder prints.
_ALL_LINES = 2


def read_packages(
    settings: Settings, directories: Sequence[Path], options: PackageBuildOptions
) -> list[Package]:
    """Read the packages, and show what is doubtful about them."""
    from assembler.packages import read_package

    packages = [read_package(d, options.build_file) for d in directories]
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
    """Build, push, and print the names of the images."""
    from assembler.packages import build_packages, check_package_options, describe_steps

    check_package_options(options)
    packages = read_packages(settings, directories, options)
    if printing.progress == "plain":
        settings = replace(settings, verbosity=max(settings.verbosity, _ALL_LINES))
    with progress(settings, printing.progress) as reporter:
        if printing.dry_run:
            lines = [*describe_steps(packages, options, reporter)]
        else:
            result = build_packages(packages, options, reporter)
    if printing.dry_run:
        for line in lines:
            say(line)
        return
    for built in result.packages:
        if built.complete:
            say(built.name)
    sys.stdout.flush()
    result.check()
