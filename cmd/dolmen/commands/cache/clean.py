"""`dolmen cache clean`: what is not needed, or not much, leaves the store."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from assembler.events import pluralize
from dolmen.console import progress, say, size_text
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command()
def clean(
    ctx: typer.Context,
    keep_bytes: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Remove what was not used for longest until the rest fits, as 5G or 500M.",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove images not used for so long, as 30d or 12h."),
    ] = None,
    published_only: Annotated[
        bool,
        typer.Option("--published-only", help="Only images that their registry has, too."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all images that are not in use.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Remove what is not needed from the store.

    \b
    dolmen cache clean                      # what no image needs
    dolmen cache clean --keep-bytes 5G      # and what was not used for longest
    dolmen cache clean --older-than 30d     # and images not used for a month
    dolmen cache clean --published-only     # and every image that can be pulled again
    dolmen cache clean --all                # and everything else

    It can run beside builds and pulls, and be interrupted: what they use stays, and so
    does everything unnamed that is younger than an hour. Debian packages that
    recipes were made of go when they were not used for a month (or as said).
    """
    from assembler.debian.cleaning import clean as clean_debs
    from assembler.oci import GcLimits, Store, collect_garbage
    from dolmen.quantities import parse_age, parse_bytes

    settings = settings_of(ctx)
    store = Store(settings.cache)
    with progress(settings) as reporter:
        there = None
        if published_only:
            from assembler.oci import find_published

            options = registry_options(settings, insecure, registry_creds)
            there = find_published(store.names().entries, options, reporter)
        limits = GcLimits(
            older_than=parse_age(older_than, "--older-than") if older_than else None,
            keep_bytes=parse_bytes(keep_bytes, "--keep-bytes") if keep_bytes else None,
            published=there,
            everything=everything,
            dry_run=dry_run,
        )
        done = collect_garbage(store, limits)
        debs = clean_debs(store, limits, time.time())
    for name in done.names:
        say(f"{'would remove' if dry_run else 'removed'} {name}")
    removed = [
        pluralize(done.blobs, "blob"),
        pluralize(done.segments, "segment"),
        pluralize(done.others + debs.others, "leftover"),
    ]
    if debs.packages:
        removed.append(pluralize(debs.packages, "Debian package"))
    parts = ", ".join(removed)
    say(f"{'would free' if dry_run else 'freed'} {size_text(done.bytes + debs.bytes)}: {parts}")
