"""`dolmen pkg show`: describe a package that Dolmen brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from assembler.quantities import size_text
from dolmen.completions import complete_catalog
from dolmen.lazy import command_app
from dolmen.output import print_document, print_json, print_line
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.packages import CatalogPackage

app = command_app()


@app.command()
def show(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Package, as `dolmen pkg list` shows it.",
            show_default=False,
            autocompletion=complete_catalog,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Describe a package that Dolmen brings: its purpose, options, privileges, and an example.

    \b
    dolmen pkg show nginx
    dolmen pkg show --json nginx | jq -r .example
    """
    from assembler.catalog import CATALOG_PREFIX
    from assembler.oci import Store
    from assembler.packages import describe_catalog_package

    store = Store(settings_of(ctx).cache)
    package = describe_catalog_package(name.removeprefix(CATALOG_PREFIX), store)
    if as_json:
        print_json({**package.as_json(), "readme": package.readme})
        return
    _print(package)


def _print(package: CatalogPackage) -> None:
    entry = package.entry
    rows = [
        ("goes into", entry.place),
        ("image", str(package.name)),
        ("directory", str(package.directory)),
        ("platforms", ", ".join(package.architectures)),
        ("size", "not in the store" if package.size is None else size_text(package.size)),
        ("replaces", f"{entry.replaces} of LinuxKit" if entry.replaces else ""),
        *((("privileges", "")[n > 0], text) for n, text in enumerate(package.privileges)),
    ]
    print_line(f"{entry.name}: {entry.purpose}")
    print_line("")
    for title, text in rows:
        if text:
            print_line(f"{title:10}  {text}")
    _, _, text = package.readme.partition("\n")
    if text:
        print_line("")
        print_document(text.strip() + "\n")
    print_line("")
    print_line("Example:")
    print_line("")
    for line in entry.example.splitlines():
        print_line(f"    {line}" if line else "")
