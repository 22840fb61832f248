"""`dolmen pkg inputs`: print the inputs of packages' images."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.option_groups import with_options
from dolmen.commands.pkg.options import (
    BuildArgFiles,
    BuilderName,
    Directories,
    DockerfileName,
    Platforms,
    naming_options,
)
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
from dolmen.package_options import build_arguments, builder_options, platforms
from dolmen.settings import settings_of
from dolmen.sources import image_sources

if TYPE_CHECKING:
    from assembler.packages import InputComparison, PackageBuildOptions

app = command_app()


@app.command()
@with_options(naming_options)
def inputs(
    ctx: typer.Context,
    directories: Directories,
    platforms_: Platforms = None,
    build_arg_file: BuildArgFiles = None,
    dockerfile: DockerfileName = None,
    builder: BuilderName = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    *,
    options: PackageBuildOptions,
) -> None:
    """Print the inputs of each image, and which of them have changed since it was built.

    \b
        dolmen pkg inputs pkg/sshd
        dolmen pkg inputs --platforms linux/arm64 --json pkg/sshd

    The tag contains only the tree hash. Other inputs are the digests of base images, the
    build arguments and the lock; they are recorded on each image that is built.
    """
    from assembler.packages import compare_package_inputs

    chosen = replace(
        options,
        platforms=platforms(platforms_),
        arguments=build_arguments(build_arg_file),
        dockerfile=dockerfile,
        builder=builder_options(builder),
        sources=image_sources(settings_of(ctx)),
    )
    comparisons = compare_package_inputs(directories, chosen)
    if as_json:
        print_json([comparison.as_json() for comparison in comparisons])
        return
    for comparison in comparisons:
        print_line(f"{comparison.name} for {comparison.platform}")
        for name, value in sorted(comparison.current.items()):
            print_line(f"  {name}: {value}")
        print_line(f"  ({_state(comparison)})")


def _state(comparison: InputComparison) -> str:
    if comparison.recorded is None:
        return "not built yet"
    if not comparison.lasting:
        return "built every time: its name contains no hash"
    if comparison.changed:
        return f"changed since it was built: {', '.join(comparison.changed)}"
    return "up to date"
