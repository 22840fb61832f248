"""`dolmen pkg builder`: show or clear the storage of builders on this host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from assembler.quantities import size_text
from dolmen.lazy import command_app, move_options_behind
from dolmen.output import print_line
from dolmen.package_options import builder_options, platforms
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.oci import Platform


class _Commands(TyperGroup):
    """The commands; their options may precede the name, as in LinuxKit."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - click's context
        """Move the options behind the name."""
        if args and args[0].startswith("-"):
            args = move_options_behind(args, self.commands["du"])
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = command_app(
    cls=_Commands,
    help="Show or clear the storage of builders: buildah's in the store, BuildKit's in Docker.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
BuilderName = Annotated[
    str,
    typer.Option(
        "--builder-name",
        metavar="NAME",
        help="Builder of `docker buildx`.  [default: dolmen-builder; env: DOLMEN_BUILDER_NAME, "
        "LINUXKIT_BUILDER_NAME]",
    ),
]
Builders = Annotated[
    list[str] | None,
    typer.Option(
        "--builders",
        metavar="OS/ARCH=CONTEXT",
        help="Only the builders of these platforms, in these Docker contexts; repeatable.",
    ),
]
Platforms = Annotated[
    list[str] | None,
    typer.Option(
        "--platforms",
        metavar="OS/ARCH,...",
        help="Only the builders of these platforms; repeatable.  [default: all]",
    ),
]
BuilderImage = Annotated[
    str,
    typer.Option(
        "--builder-image", metavar="IMAGE", help="No effect: no builder is created for this."
    ),
]
BuilderConfig = Annotated[
    str,
    typer.Option(
        "--builder-config", metavar="FILE", help="No effect: no builder is created for this."
    ),
]


@app.command()
def du(
    ctx: typer.Context,
    builder_name: BuilderName = "",
    builders: Builders = None,
    platforms_: Platforms = None,
    builder_image: BuilderImage = "",  # noqa: ARG001 - LinuxKit's option
    builder_config: BuilderConfig = "",  # noqa: ARG001
) -> None:
    """Show the disk usage of builders: base images, RUN caches, Go toolchains, and logs."""
    from assembler.oci import Store
    from assembler.packages import builder_storage_use

    options = builder_options(contexts=builders, buildx_name=builder_name).buildkit
    for use in builder_storage_use(
        Store(settings_of(ctx).cache),
        options.name,
        contexts=options.contexts,
        platforms=_chosen(platforms_, builders),
    ):
        print_line(f"{use.name:10} {_amount(use.size)}")


@app.command()
def prune(
    ctx: typer.Context,
    builder_name: BuilderName = "",
    builders: Builders = None,
    platforms_: Platforms = None,
    builder_image: BuilderImage = "",  # noqa: ARG001 - LinuxKit's option
    builder_config: BuilderConfig = "",  # noqa: ARG001
) -> None:
    """Remove the base images, RUN caches, Go toolchains and logs of builders."""
    from assembler.oci import Store
    from assembler.packages import prune_builders

    settings = settings_of(ctx)
    options = builder_options(contexts=builders, buildx_name=builder_name).buildkit
    with progress_reporter(settings) as reporter:
        freed = [
            *prune_builders(
                Store(settings.cache),
                options.name,
                reporter,
                contexts=options.contexts,
                platforms=_chosen(platforms_, builders),
            )
        ]
    for use in freed:
        print_line(f"freed {_amount(use.size)}{f' of {use.name}' if use.in_docker else ''}")


def _chosen(platforms_: list[str] | None, builders: list[str] | None) -> tuple[Platform, ...]:
    """Return the platforms whose builders are meant; without any, all builders are."""
    return platforms(platforms_) or platforms([text.partition("=")[0] for text in builders or ()])


def _amount(size: int | str) -> str:
    """Return a size as text; `docker buildx` prints texts."""
    return size if isinstance(size, str) else size_text(size)
