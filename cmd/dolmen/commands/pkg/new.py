"""`dolmen pkg new`: begin a package."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError, wrap_os_errors
from assembler.files import atomic_write
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()
_FOLDER = Path(__file__).resolve().parents[2] / "templates" / "package"


@app.command()
def new(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The directory; its name is the image's.")
    ],
    debs: Annotated[
        bool, typer.Option("--debs", help="Make it of Debian packages, without a Dockerfile.")
    ] = False,
    org: Annotated[
        str, typer.Option(metavar="ORG", help="The part of the name before the image's.")
    ] = "example",
) -> None:
    """Begin a package: a build.yml with comments, and a Dockerfile or a recipe.

    \b
        dolmen pkg new pkg/web
        dolmen pkg new --debs pkg/runc
    """
    words = {"image": _image(directory.absolute().name), "org": org, "schema": _schema(directory)}
    kind = "debs" if debs else "dockerfile"
    files = {"build.yml": _filled(f"{kind}.build.yml", words), "hello": "hello\n"}
    if not debs:
        files["Dockerfile"] = _filled("Dockerfile", words)
    there = [name for name in files if (directory / name).exists()]
    if there:
        raise UsageError.of(
            usage.BAD_OPTION, f"{directory} has a {there[0]} already", "name another directory"
        )
    with wrap_os_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with atomic_write(directory / name) as file:
            file.write(text.encode())
    if not settings_of(ctx).quiet:
        sys.stderr.write(f"wrote {directory}; build it with: dolmen pkg build {directory}\n")


def _image(name: str) -> str:
    """Return a name that an image can have."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "image"


def _schema(directory: Path) -> str:
    """Return where editors find what build.yml can have."""
    from assembler.config import schemas

    schema, here = schemas.schema_path("build"), directory.resolve()
    inside = here.is_relative_to(schema.parent.parent)
    return os.path.relpath(schema, here) if inside else str(schema)


def _filled(name: str, words: dict[str, str]) -> str:
    text = (_FOLDER / name).read_text("utf-8")
    for key, value in words.items():
        text = text.replace("{" + key + "}", value)
    return text
