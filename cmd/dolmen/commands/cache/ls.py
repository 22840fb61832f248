"""`dolmen cache ls`: list the images in the store."""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.printable import MAX_MESSAGE_LINE, printable
from assembler.quantities import size_text
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from assembler.oci import ListedImage

app = command_app()
_SHORT_DIGEST = len("sha256:") + 12


@app.command()
def ls(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the images in the store.

    \b
    dolmen cache ls
    dolmen cache ls --json | jq -r '.[] | select(.size > 1e8) | .name'

    Platforms in parentheses belong to the image, but were not fetched.
    SIZE includes layers shared with other images.
    """
    from assembler.oci import Store, list_images

    rows = list_images(Store(settings_of(ctx).cache))
    if as_json:
        print_json([row.as_json() for row in rows])
        return
    table = [("IMAGE", "PLATFORMS", "SIZE", "USED", "DIGEST")] + [_row(row) for row in rows]
    for line in _fitted(table) if sys.stdout.isatty() else _lines(table):
        print_line(line)


def _lines(table: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(line[n]) for line in table) for n in range(len(table[0]) - 1)]
    for line in table:
        padded = [f"{cell:{width}}" for cell, width in zip(line, widths, strict=False)]
        yield "  ".join([*padded, line[-1]])


def _fitted(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """Shorten digests; put names on separate lines if the terminal is too narrow."""
    short = [[*line[:-1], line[-1][:_SHORT_DIGEST]] for line in table]
    lines = list(_lines(short))
    if max(map(len, lines)) <= shutil.get_terminal_size().columns:
        yield from lines
        return
    for line, rest in zip(short, _lines([line[1:] for line in short]), strict=True):
        yield line[0]
        yield f"  {rest}"


def _row(row: ListedImage) -> tuple[str, str, str, str, str]:
    from dolmen.quantities import age_text

    platforms = [str(p) for p in row.platforms] + [f"({p})" for p in row.not_fetched]
    return (
        printable(row.name, MAX_MESSAGE_LINE) or "<no name>",
        printable(",".join(platforms), MAX_MESSAGE_LINE) or "-",
        size_text(row.size) + ("" if row.complete else " incomplete"),
        age_text((datetime.now(UTC) - datetime.fromtimestamp(row.used, UTC)).total_seconds()),
        row.descriptor.digest,
    )
