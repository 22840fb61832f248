"""`dolmen new`: a commented YAML file to start from."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen.console import say
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()
_FOLDER = Path(__file__).resolve().parent.parent / "templates"
_ORG = "dolmen"


def _templates() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def _template(value: str) -> str:
    known = _templates()
    if value not in known:
        raise typer.BadParameter(f"must be one of {', '.join(known)}")
    return value


@app.command()
def new(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(help="The file to write; `-` prints it.", metavar="[FILE]")
    ] = "-",
    template: Annotated[
        str,
        typer.Option(
            help="minimal, service or sshd.",
            metavar="NAME",
            callback=_template,
            autocompletion=_templates,
        ),
    ] = "minimal",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Write a commented YAML file to start from.

    \b
    dolmen new image.yml                       # kernel, init and a console
    dolmen new --template service web.yml      # ... a network and a web server
    dolmen new --template sshd box.yml         # ... and a login by SSH
    dolmen new                                 # to standard output

    Its first line tells editors with a YAML language server which schema completes
    and explains the keys.
    """
    target = None if file == "-" else Path(file)
    beside = Path() if target is None else target.parent
    text = _filled((_FOLDER / f"{template}.yml").read_text("utf-8"), beside)
    if target is None:
        say(text.rstrip("\n"))
        return
    _write(target, text, force=force)
    if not settings_of(ctx).quiet:
        sys.stderr.write(f"wrote {file}; build it with: dolmen build {file}\n")


def _write(target: Path, text: str, *, force: bool) -> None:
    from assembler.errors import wrap_os_errors
    from assembler.files import atomic_write

    if target.is_dir() or (os.path.lexists(target) and not force):
        kind = "a directory" if target.is_dir() else "there already"
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{target} is {kind}",
            "give another name" if target.is_dir() else "--force replaces it",
        )
    with wrap_os_errors(target):
        if not target.parent.is_dir():
            raise FileNotFoundError(2, f"there is no directory {target.parent}", str(target))
    with atomic_write(target) as output:
        output.write(text.encode())


def _filled(text: str, beside: Path) -> str:
    """Put in the place of the schema and the names of packages."""
    from assembler.config import schemas

    schema = schemas.schema_path("image")
    top = schema.parent.parent
    inside = beside.resolve().is_relative_to(top)
    shown = Path(os.path.relpath(schema, beside.resolve())) if inside else schema
    lines = text.replace("{schema}", str(shown)).splitlines()
    return "\n".join(_with_packages(line, beside) for line in lines) + "\n"


def _with_packages(line: str, beside: Path) -> str:
    """Replace `{pkg:NAME}` by the package in this checkout, or by the name of its image."""
    start, mark, rest = line.partition("{pkg:")
    if not mark:
        return line
    name, _, end = rest.partition("}")
    return start + _package(name, beside) + _with_packages(end, beside)


def _package(name: str, beside: Path) -> str:
    """Return a package beside the file, else one of Dolmen's own checkout, else an image's name."""
    from assembler.config import schemas

    here = beside.resolve()
    for folder in (here, *here.parents):
        for found in _places(folder, name):
            return f'"@pkg:{os.path.relpath(found, here)}"'
    for found in _places(schemas.schema_path("image").parent.parent, name):
        return f'"@pkg:{found}"'
    return f"{_ORG}/{name}"


def _places(checkout: Path, name: str) -> Iterator[Path]:
    """Yield where a package is in a checkout: `kernel-virtual` is in kernel/virtual."""
    for place in (f"pkg/{name}", name.replace("-", "/", 1)):
        # Not `is_file`: what may not be looked into has no packages.
        if os.path.isfile(checkout / place / "build.yml"):  # noqa: PTH113
            yield checkout / place
