"""`dolmen pkg builder`: show or clear the storage of builders on this host."""

from __future__ import annotations

from typing import Annotated

import typer

from assembler.quantities import size_text
from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of

app = command_app(
    help="Show or clear the storage of builders: buildah's in the store, BuildKit's in Docker.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
BuilderName = Annotated[
    str,
    typer.Option(
        "--builder-name",
        metavar="NAME",
        help="Builder of `docker buildx`.  [default: dolmen-builder]",
    ),
]


@app.command()
def du(ctx: typer.Context, builder_name: BuilderName = "") -> None:
    """Show the disk usage of builders: base images, RUN caches, Go toolchains, and logs."""
    from assembler.oci import Store
    from assembler.packages import builder_storage_use

    for use in builder_storage_use(Store(settings_of(ctx).cache), builder_name):
        print_line(f"{use.name:10} {_amount(use.size)}")


@app.command()
def prune(ctx: typer.Context, builder_name: BuilderName = "") -> None:
    """Remove the base images, RUN caches, Go toolchains and logs of builders."""
    from assembler.oci import Store
    from assembler.packages import prune_builders

    settings = settings_of(ctx)
    with progress_reporter(settings) as reporter:
        freed = [*prune_builders(Store(settings.cache), builder_name, reporter)]
    if settings.quiet:
        return
    for use in freed:
        print_line(f"freed {_amount(use.size)}{f' of {use.name}' if use.in_docker else ''}")


def _amount(size: int | str) -> str:
    """Return a size as text; `docker buildx` prints texts."""
    return size if isinstance(size, str) else size_text(size)
