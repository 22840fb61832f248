"""`dolmen cache rm`: remove images from the store."""

from __future__ import annotations

from typing import Annotated

import typer

from assembler.quantities import size_text
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command()
def rm(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="Image names.", autocompletion=completions.complete_images
        ),
    ],
    published_only: Annotated[
        bool,
        typer.Option("--published-only", help="Remove only images that their registry has."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be removed, without removing it.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Remove images and their unshared blobs from the store.

    \b
    dolmen cache rm alpine:3.19 busybox
    dolmen cache rm --published-only example/app:1   # only if it can be pulled again

    Blobs in use by a running build or pull are kept; `dolmen cache clean` removes them
    later.
    """
    from assembler.oci import Store, find_named_entries, remove_images

    settings = settings_of(ctx)
    store = Store(settings.cache)
    entries = find_named_entries(store.names(), names)
    with progress_reporter(settings) as reporter:
        if published_only:
            from assembler.oci import find_published

            options = registry_options(settings, insecure, registry_creds)
            published = find_published(entries, options, reporter)
            entries = [e for e in entries if (e.name, e.descriptor.digest) in published]
        done = remove_images(store, entries, dry_run=dry_run)
    for name in done.names:
        print_line(f"{'would remove' if dry_run else 'removed'} {name}")
    print_line(
        f"{'would free' if dry_run else 'freed'} {size_text(done.bytes)} in {done.blobs} blobs"
    )
    if dry_run:
        options_given = ("--published-only",) if published_only else ()
        show_next_command(settings, "dolmen", "cache", "rm", *options_given, *names)
