"""`dolmen pkg builder`: what builders keep on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.console import progress, say, size_text
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.dockerfile.buildx import Buildx

app = typer.Typer(
    help="Show and clear what builders keep: buildah below the store, BuildKit in Docker.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Name = Annotated[
    str,
    typer.Option(
        "--builder-name", metavar="NAME", help="The builder of `docker buildx`, if not our own."
    ),
]


@app.command()
def du(ctx: typer.Context, builder_name: Name = "") -> None:
    """Print how much room builders take: bases as they have them, caches of RUN, and logs."""
    from assembler.dockerfile.storage import kept

    root = settings_of(ctx).cache.absolute()
    for one in kept(root / "buildah", root / "logs"):
        say(f"{one.name:8} {size_text(one.size)}")
    buildx = _buildx(builder_name)
    if buildx is not None:
        for name in buildx.names():
            say(f"{name:8} {buildx.kept(name)}")


@app.command()
def prune(ctx: typer.Context, builder_name: Name = "") -> None:
    """Clear all of it away; the next build imports its base images again."""
    from assembler.dockerfile.storage import prune as clear

    settings = settings_of(ctx)
    root = settings.cache.absolute()
    with progress(settings) as reporter:
        freed = clear(root / "buildah", root / "logs", reporter)
    if not settings.quiet:
        say(f"freed {size_text(freed)}")
    buildx = _buildx(builder_name)
    for name in buildx.names() if buildx is not None else ():
        freed_there = buildx.prune(name) if buildx is not None else ""
        if not settings.quiet:
            say(f"freed {freed_there} of {name}")


def _buildx(name: str) -> Buildx | None:
    """Return what leads to the builders of Docker, if there is any."""
    from assembler import tools
    from assembler.dockerfile.buildx import BuildKitOptions, Buildx, found_buildx
    from assembler.events import NullReporter

    docker = tools.find_program("docker")
    if docker is None:
        return None
    found, options = found_buildx(docker, BuildKitOptions(name=name))
    return Buildx(found, options, NullReporter()) if found is not None else None
