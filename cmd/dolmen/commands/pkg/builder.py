"""`dolmen pkg builder`: what builders keep on this machine."""

from __future__ import annotations

import typer

from dolmen.console import progress, say, size_text
from dolmen.settings import settings_of

app = typer.Typer(
    help="Show and clear what builders keep below the store.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def du(ctx: typer.Context) -> None:
    """Print how much room builders take: bases as they have them, and caches of RUN."""
    from assembler.packages.dockerfile.storage import kept

    for one in kept(settings_of(ctx).cache.absolute() / "buildah"):
        say(f"{one.name:8} {size_text(one.size)}")


@app.command()
def prune(ctx: typer.Context) -> None:
    """Clear all of it away; the next build imports its bases anew."""
    from assembler.packages.dockerfile.storage import prune as clear

    settings = settings_of(ctx)
    with progress(settings) as reporter:
        freed = clear(settings.cache.absolute() / "buildah", reporter)
    if not settings.quiet:
        say(f"freed {size_text(freed)}")
