"""`dolmen pkg inputs`: print what goes into the images of packages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.pkg.options import (
    BuildArgFiles,
    BuilderName,
    Directories,
    DockerfileName,
    Platforms,
    naming_options,
    with_options,
)
from dolmen.console import say
from dolmen.lazy import command_app
from dolmen.package_options import build_arguments, builder_options, platforms
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.packages import PackageBuildOptions, PackageJob

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
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    *,
    options: PackageBuildOptions,
) -> None:
    """Print what goes into each package's image, and what of it is not as when it was built.

    \b
        dolmen pkg inputs pkg/sshd
        dolmen pkg inputs --platforms linux/arm64 --json pkg/sshd

    The tag knows the tree alone. The digests of images that a Dockerfile begins
    with, build arguments and locks stand here, and on the image that was built.
    """
    from assembler.oci import Store
    from assembler.packages import compare_inputs, job_of, read_package

    chosen = replace(
        options,
        platforms=platforms(platforms_),
        arguments=build_arguments(build_arg_file),
        dockerfile=dockerfile,
        builder=builder_options(builder),
    )
    store = Store(settings_of(ctx).cache)
    found = []
    for directory in directories:
        job = job_of(read_package(directory, options.build_file), chosen)
        for platform in job.platforms:
            now, before, different = compare_inputs(store, job, platform)
            if as_json:
                found.append(
                    {
                        "name": str(job.name),
                        "platform": str(platform),
                        "inputs": now,
                        "built": before,
                        "changed": list(different),
                    }
                )
                continue
            say(f"{job.name} for {platform}")
            for name, value in sorted(now.items()):
                say(f"  {name}: {value}")
            say(f"  {_state(job, before, different)}")
    if as_json:
        say(json.dumps(found, indent=2))


def _state(job: PackageJob, before: object, different: tuple[str, ...]) -> str:
    from assembler.packages import is_lasting

    if before is None:
        return "(not built yet)"
    if not is_lasting(job.name):
        return "(built every time: its name does not identify the content)"
    return f"(changed since it was built: {', '.join(different)})" if different else "(as built)"
