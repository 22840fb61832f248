"""`dolmen cache ls`: what is in the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.commands.cache.text import printable
from dolmen.console import say, size_text
from dolmen.lazy import command_app
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.oci.store import Listed

app = command_app()


@app.command()
def ls(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the images in the store.

    \b
    dolmen cache ls
    dolmen cache ls --json | jq -r '.[] | select(.size > 1e8) | .name'

    A platform in parentheses is one that the image has, but that was not fetched.
    SIZE counts what several images share at each of them.
    """
    from assembler.oci.store import Store, listing

    rows = listing(Store(settings_of(ctx).cache))
    if as_json:
        say(json.dumps([_json(row) for row in rows], indent=2))
        return
    table = [("IMAGE", "PLATFORMS", "SIZE", "USED", "DIGEST")] + [_row(row) for row in rows]
    widths = [max(len(line[n]) for line in table) for n in range(4)]
    for line in table:
        padded = [f"{cell:{width}}" for cell, width in zip(line, widths, strict=False)]
        say("  ".join([*padded, line[4]]))


def _row(row: Listed) -> tuple[str, str, str, str, str]:
    from dolmen.quantities import age

    platforms = [str(p) for p in row.platforms] + [f"({p})" for p in row.elsewhere]
    return (
        printable(row.name) or "<no name>",
        printable(",".join(platforms)) or "-",
        size_text(row.size) + ("" if row.complete else " incomplete"),
        age((datetime.now(UTC) - datetime.fromtimestamp(row.used, UTC)).total_seconds()),
        row.descriptor.digest,
    )


def _json(row: Listed) -> dict[str, object]:
    return {
        "name": row.name,
        "digest": row.descriptor.digest,
        "mediaType": row.descriptor.media_type,
        "platforms": [str(p) for p in row.platforms],
        "notFetched": [str(p) for p in row.elsewhere],
        "size": row.size,
        "used": datetime.fromtimestamp(int(row.used), UTC).isoformat(),
        "complete": row.complete,
    }
