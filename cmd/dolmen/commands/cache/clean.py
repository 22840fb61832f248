"""`dolmen cache clean`: remove unneeded data from the store."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import typer

from assembler.events import pluralize
from assembler.quantities import size_text
from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
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
            help="Remove least recently used images until the rest fits, such as 5G or 500M.",
        ),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Remove images unused for this long, such as 30d or 12h."),
    ] = None,
    published_only: Annotated[
        bool,
        typer.Option("--published-only", help="Remove only images that their registry has."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Remove everything that is not in use, also young blobs without a name."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, without removing it.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Remove unneeded data from the store.

    \b
    dolmen cache clean                      # blobs that no image needs
    dolmen cache clean --keep-bytes 5G      # and least recently used images
    dolmen cache clean --older-than 30d     # and images not used for a month
    dolmen cache clean --published-only     # and all images that can be pulled again
    dolmen cache clean --all                # and everything that is not in use

    It is safe during builds and pulls, works on a full disk, and can be interrupted. Blobs in
    use are kept, and without --all so are unnamed blobs younger than an hour. Debian packages of
    recipes and checkouts of git repositories are removed when they were not used for a month, or
    for the time of --older-than.
    """
    from assembler.debian import collect_debian_garbage
    from assembler.git_sources import collect_git_garbage
    from assembler.oci import HOUR, GcLimits, Store, collect_garbage
    from dolmen.quantities import parse_age, parse_bytes

    settings = settings_of(ctx)
    store = Store(settings.cache)
    with progress_reporter(settings) as reporter:
        published = None
        if published_only:
            from assembler.oci import find_published

            options = registry_options(settings, insecure, registry_creds)
            published = find_published(store.names().entries, options, reporter)
        limits = GcLimits(
            older_than=parse_age(older_than, "--older-than") if older_than else None,
            keep_bytes=parse_bytes(keep_bytes, "--keep-bytes") if keep_bytes else None,
            published=published,
            everything=everything,
            grace=0.0 if everything else HOUR,
            dry_run=dry_run,
        )
        done = collect_garbage(store, limits)
        # Files of a download that may still be written to stay.
        debs = collect_debian_garbage(store, replace(limits, grace=HOUR), time.time())
        git = collect_git_garbage(store, limits, time.time())
    for name in done.names:
        print_line(f"{'would remove' if dry_run else 'removed'} {name}")
    removed = [
        pluralize(done.blobs, "blob"),
        pluralize(done.segments, "segment"),
        pluralize(done.others + debs.other_files, "leftover"),
    ]
    if debs.packages:
        removed.append(pluralize(debs.packages, "Debian package"))
    if git.checkouts:
        removed.append(pluralize(git.checkouts, "git checkout"))
    size = size_text(done.bytes + debs.bytes + git.bytes)
    print_line(f"{'would free' if dry_run else 'freed'} {size}: {', '.join(removed)}")
