"""`dolmen validate`: check YAML files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_json, print_note, show_diagnostics, wants_color
from dolmen.settings import settings_of
from dolmen.sources import AllowLocalSources

app = command_app()


def _check_kind(value: str) -> str:
    if value not in ("auto", "image", "build"):
        raise typer.BadParameter("must be auto, image or build")
    return value


@app.command()
def validate(
    ctx: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(help="YAML files, `-` for standard input, or URLs.", metavar="FILE..."),
    ],
    merge: Annotated[
        bool, typer.Option("--merge", help="Merge the files first, as `dolmen build` does.")
    ] = False,
    schema: Annotated[
        str,
        typer.Option(
            help="Schema: image, build, or auto (build for files named build.yml).",
            metavar="KIND",
            callback=_check_kind,
            autocompletion=lambda: ["auto", "image", "build"],
        ),
    ] = "auto",
    linuxkit: Annotated[
        bool,
        typer.Option("--linuxkit", help="Also report what LinuxKit would not take."),
    ] = False,
    allow_local_sources: AllowLocalSources = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print diagnostics as JSON.")] = False,
) -> None:
    """Check YAML files, and show every mistake with its place and a hint.

    \b
    dolmen validate image.yml
    dolmen validate examples/*.yml            # each on its own
    dolmen validate --merge base.yml more.yml # merged, as in `dolmen build`
    dolmen validate pkg/*/build.yml
    dolmen validate --linuxkit image.yml      # for files that both have to accept
    dolmen validate --json - < image.yml

    Images are not read, and nothing is written. Sources of YAML files from URLs are fetched.
    The exit code is 1 if there are errors; warnings do not count.
    """
    from assembler.build import ValidationResult
    from assembler.build import validate as check
    from assembler.config import printable_name
    from dolmen.next_command import show_next_command

    settings = settings_of(ctx)
    results = []
    for group in [files] if merge else [[file] for file in dict.fromkeys(files)]:
        result = check(
            group,
            schema=schema,
            allow_local_sources=allow_local_sources,
            linuxkit=linuxkit,
            store=settings.cache,
        )
        results.append(result)
        if as_json:
            continue
        show_diagnostics(result.diagnostics, color=wants_color(sys.stderr, settings.color))
        if result.valid and not settings.quiet:
            print_note(f"{' + '.join(map(printable_name, group))}: valid")
    every = ValidationResult(tuple(d for result in results for d in result.diagnostics))
    if as_json:
        print_json(every.as_json(), ascii_only=False)
    if not every.valid:
        raise typer.Exit(1)
    if not as_json and (merge or len(files) == 1):
        show_next_command(settings, *_next_command(files, schema))


def _next_command(files: list[str], schema: str) -> tuple[str, ...]:
    """Return the command that builds valid files; standard input cannot be read again."""
    if "-" in files:
        return ()
    path = Path(files[0])
    if schema == "build" or (schema == "auto" and path.name == "build.yml"):
        return ("dolmen", "pkg", "build", str(path.parent))
    return ("dolmen", "build", *files)
