"""`dolmen pkg list`: list the packages that Dolmen brings."""

from __future__ import annotations

from typing import Annotated

import typer

from assembler.quantities import size_text
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
from dolmen.settings import settings_of

app = command_app()


@app.command(name="list")
def list_packages(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """List the packages that Dolmen brings: the catalogue.

    \b
    dolmen pkg list
    dolmen pkg list --json | jq -r '.[].name'

    `@dolmen:NAME` names one in image.yml; `dolmen pkg show NAME` says more. SIZE is that of the
    compressed image, if it is in the store.
    """
    from assembler.oci import Store
    from assembler.packages import list_catalog

    packages = list_catalog(Store(settings_of(ctx).cache))
    if as_json:
        print_json([package.as_json() for package in packages])
        return
    table = [("NAME", "GOES INTO", "SIZE", "PURPOSE")] + [
        (
            package.entry.name,
            package.entry.place,
            "-" if package.size is None else size_text(package.size),
            package.entry.purpose,
        )
        for package in packages
    ]
    widths = [max(len(row[n]) for row in table) for n in range(3)]
    for row in table:
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)]
        print_line("  ".join([*cells, row[-1]]))
