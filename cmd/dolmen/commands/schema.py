"""`dolmen schema`: print a JSON Schema, for editors and other tools."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_json, print_line

app = command_app()


def _check_kind(value: str) -> str:
    if value not in ("image", "build"):
        raise typer.BadParameter("must be image or build")
    return value


@app.command()
def schema(
    kind: Annotated[
        str,
        typer.Argument(
            help="Schema: image (default) or build.", metavar="[KIND]", callback=_check_kind
        ),
    ] = "image",
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of the schema file instead.")
    ] = False,
) -> None:
    """Print the JSON Schema of image.yml or build.yml.

    \b
    dolmen schema                     # of image.yml
    dolmen schema build > build.schema.json
    dolmen schema --path              # for the settings of an editor

    With this line at the top of a file, editors with a YAML language server complete and
    explain keys; `dolmen new` writes it:

    \b
    # yaml-language-server: $schema=PATH
    """
    from assembler.config import load_schema, schema_path

    if path:
        print_line(str(schema_path(kind)))
    else:
        print_json(load_schema(kind), ascii_only=False)
