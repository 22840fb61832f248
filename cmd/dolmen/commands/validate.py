"""`dolmen validate`: every mistake of YAML files, each with its place and what would be right."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from dolmen.console import say, show_diagnostics, wants_color
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


def _kind(value: str) -> str:
    if value not in ("auto", "image", "build"):
        raise typer.BadParameter("must be auto, image or build")
    return value


@app.command()
def validate(
    ctx: typer.Context,
    files: Annotated[
        list[str], typer.Argument(help="YAML files, `-`, http(s) URLs.", metavar="FILE...")
    ],
    merge: Annotated[
        bool, typer.Option("--merge", help="Check the files as one system, as `build` sees them.")
    ] = False,
    schema: Annotated[
        str,
        typer.Option(
            help="image, build, or auto: by the name, build.yml being a package's.",
            metavar="KIND",
            callback=_kind,
            autocompletion=lambda: ["auto", "image", "build"],
        ),
    ] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print diagnostics as JSON.")] = False,
) -> None:
    """Check YAML files and show every mistake, with its place and what would be right.

    \b
    dolmen validate image.yml
    dolmen validate examples/*.yml            # each by itself
    dolmen validate --merge base.yml more.yml # together, as `dolmen build` takes them
    dolmen validate pkg/*/build.yml
    dolmen validate --json - < image.yml

    No image is looked at, and nothing is written. The exit code is 0 if there is no
    error (warnings do not count), and 1 otherwise.
    """
    from assembler.build import ValidationResult
    from assembler.build import validate as check

    settings = settings_of(ctx)
    results = []
    for together in [files] if merge else [[file] for file in dict.fromkeys(files)]:
        result = check(together, schema=schema)
        results.append(result)
        if not as_json and not settings.quiet and result.valid:
            say(f"{' + '.join(together)}: valid")
    every = ValidationResult(tuple(d for result in results for d in result.diagnostics))
    if as_json:
        say(json.dumps(every.as_json(), indent=2, ensure_ascii=False))
    else:
        show_diagnostics(every.diagnostics, color=wants_color(sys.stderr, settings.color))
    if not every.valid:
        raise typer.Exit(1)
