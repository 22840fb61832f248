"""`dolmen cache rm`: images leave the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dolmen import completing
from dolmen.console import progress, say, size_text
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic
    from assembler.oci import ImageNames, Reference

app = command_app()


@app.command()
def rm(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="Names of images.", autocompletion=completing.images
        ),
    ],
    published_only: Annotated[
        bool,
        typer.Option("--published-only", help="Only those that their registry has, too."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Remove images from the store, and what only they need.

    \b
    dolmen cache rm alpine:3.19 busybox
    dolmen cache rm --published-only example/app:1   # not if it were lost by that

    What a build or pull under way is using stays until it is not used any more and
    `dolmen cache clean` comes by.
    """
    from assembler.errors import ImageError
    from assembler.oci import Reference, Store, find_entries, remove_images

    settings = settings_of(ctx)
    store = Store(settings.cache)
    now = store.names()
    found = {name: find_entries(now, name) for name in names}
    unknown = [name for name, entries in found.items() if not entries]
    if unknown:
        raise ImageError([_unknown(Reference.parse(name), now) for name in unknown])
    entries = [e for several in found.values() for e in several]
    with progress(settings) as reporter:
        if published_only:
            from assembler.oci import find_published

            options = registry_options(settings, insecure, registry_creds)
            there = find_published(entries, options, reporter)
            entries = [e for e in entries if (e.name, e.descriptor.digest) in there]
        done = remove_images(store, entries, dry_run=dry_run)
    for name in done.names:
        say(f"{'would remove' if dry_run else 'removed'} {name}")
    say(f"{'would free' if dry_run else 'freed'} {size_text(done.bytes)} in {done.blobs} blobs")


def _unknown(reference: Reference, names: ImageNames) -> Diagnostic:
    from assembler.codes import images
    from assembler.diagnostics import Diagnostic
    from assembler.oci import other_registries_hint

    hints = (other_registries_hint(reference, names), "`dolmen cache ls` shows what is there")
    message = f"{reference} is not in the store"
    return Diagnostic(images.NOT_IN_STORE, message, hints=tuple(filter(None, hints)))
