"""`dolmen validate`: every mistake of YAML files, each with its place and what would be right."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError
from dolmen.console import say, show_diagnostics, wants_color
from dolmen.lazy import command_app
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

app = command_app()
_BUILD_FILES = ("build.yml", "build.yaml")


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
    settings = settings_of(ctx)
    found: list[Diagnostic] = []
    for together in [files] if merge else [[file] for file in dict.fromkeys(files)]:
        new = _check(together, schema)
        found += new
        if not as_json and not settings.quiet and not _errors(new):
            say(f"{' + '.join(together)}: valid")
    if as_json:
        say(_as_json(found))
    else:
        show_diagnostics(found, color=wants_color(sys.stderr, settings.color))
    if _errors(found):
        raise typer.Exit(1)


def _errors(found: Sequence[Diagnostic]) -> int:
    return sum(d.severity is Severity.ERROR for d in found)


def _as_json(found: Sequence[Diagnostic]) -> str:
    errors = _errors(found)
    summary = {
        "valid": not errors,
        "errors": errors,
        "warnings": len(found) - errors,
        "diagnostics": [d.as_json() for d in found],
    }
    return json.dumps(summary, indent=2, ensure_ascii=False)


def _check(files: Sequence[str], schema: str) -> tuple[Diagnostic, ...]:
    """Return what is said about files that belong together."""
    from assembler.config import Options, load
    from assembler.oci.reference import Reference

    try:
        if schema == "build" or (schema == "auto" and _is_build(files)):
            return tuple(w for file in files for w in _check_package(file))
        options = Options(packages=_Packages(), check_reference=Reference.parse)
        return load(files, options).warnings
    except DolmenError as error:
        return error.diagnostics


def _check_package(file: str) -> tuple[Diagnostic, ...]:
    from assembler.config import read_build
    from assembler.packages.buildfile import build_file

    document = read_build(file)
    build_file(document)
    return document.warnings


def _is_build(files: Sequence[str]) -> bool:
    return all(Path(file).name in _BUILD_FILES for file in files)


class _Packages:
    """The packages beside the files; what knows them is only imported where there are some."""

    def reference(self, directory: Path) -> str:
        from assembler.packages.resolver import LocalPackages

        return LocalPackages().reference(directory)
