"""`dolmen schema`: the JSON Schemas, for editors and other tools."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from dolmen.console import say
from dolmen.lazy import command_app

app = command_app()


def _kind(value: str) -> str:
    if value not in ("image", "build"):
        raise typer.BadParameter("must be image or build")
    return value


@app.command()
def schema(
    kind: Annotated[
        str, typer.Argument(help="image (default) or build.", metavar="[KIND]", callback=_kind)
    ] = "image",
    path: Annotated[
        bool, typer.Option("--path", help="Print where the schema is instead, for an editor.")
    ] = False,
) -> None:
    """Print the JSON Schema of image.yml or build.yml.

    \b
    dolmen schema                     # of image.yml
    dolmen schema build > build.schema.json
    dolmen schema --path              # the file, for an editor's settings

    An editor with a YAML language server completes and explains keys by this line
    at the top of the file, which `dolmen new` writes:

    \b
    # yaml-language-server: $schema=PATH
    """
    from assembler.config import schemas

    if path:
        say(str(schemas.schema_path(kind)))
    else:
        say(json.dumps(schemas.load_schema(kind), indent=2, ensure_ascii=False))
