"""`dolmen new`: write a commented YAML file."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_document, print_json, print_line, print_note
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from dolmen.settings import Settings

app = command_app()
_FILE = "image.yml"


def _names() -> list[str]:
    from assembler.scaffold import templates

    return [template.name for template in templates()]


def _template(value: str) -> str:
    from assembler.errors import UsageError
    from assembler.scaffold import find_template

    if not value:
        return value
    try:
        return find_template(value).name
    except UsageError:
        raise typer.BadParameter(f"must be one of {', '.join(_names())}") from None


@app.command()
def new(
    ctx: typer.Context,
    file: Annotated[
        str,
        typer.Argument(
            help="The file to write; `-` prints it.  [default: image.yml]",
            metavar="[FILE]",
            show_default=False,
        ),
    ] = "",
    template: Annotated[
        str,
        typer.Option(
            help="web-server, ssh, database, minimal or service.  [default: web-server, or ask]",
            metavar="NAME",
            callback=_template,
            autocompletion=_names,
        ),
    ] = "",
    service: Annotated[
        Path | None,
        typer.Option(
            help="Make a package of the program in DIR, and a file that runs it as a service.",
            metavar="DIR",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the templates.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="List them as JSON.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing files.")] = False,
) -> None:
    """Write a commented YAML file to start from.

    \b
    dolmen new                                 # asks for a template; writes image.yml
    dolmen new --template database db.yml
    dolmen new --service app                   # for the program in the directory app
    dolmen new --template minimal -            # to standard output

    It asks only on a terminal, and only without FILE, --template and --service. The last line
    that it prints is the command that runs the image. For editors, which complete and explain
    keys, it also writes the schema to .dolmen/.

    --service detects a Go module, a Dockerfile, a compiled program, a script, and a program in
    Python or Node.js.
    """
    from assembler.scaffold import (
        DEFAULT_TEMPLATE,
        check_new,
        find_template,
        render_template,
        write_new_file,
    )
    from dolmen.next_command import show_next_command

    settings = settings_of(ctx)
    _check_options(template, service, listed=list_, as_json=as_json)
    if list_:
        _list_templates(as_json=as_json)
        return
    if service is not None:
        _new_service(settings, service, file or _FILE, force=force)
        return
    if not template and not file and not settings.quiet:
        # Before a person has chosen for nothing.
        check_new([Path(_FILE)], replace=force)
        template = _ask(settings)
    chosen = find_template(template or DEFAULT_TEMPLATE)
    if file == "-":
        print_document(render_template(chosen.name))
        return
    path = Path(file or _FILE)
    write_new_file(path, chosen.name, replace=force)
    if not settings.quiet:
        print_note(f"wrote {path}: {chosen.name}, {chosen.summary}")
    show_next_command(settings, *chosen.run_command(str(path)), always=True)


def _check_options(template: str, service: Path | None, *, listed: bool, as_json: bool) -> None:
    from assembler.codes import usage
    from assembler.errors import UsageError

    if template and service is not None:
        raise UsageError.of(usage.BAD_OPTION, "--template and --service exclude each other")
    if as_json and not listed:
        raise UsageError.of(usage.BAD_OPTION, "--json needs --list")


def _list_templates(*, as_json: bool) -> None:
    from assembler.scaffold import templates

    if as_json:
        listed = [
            {"name": t.name, "summary": t.summary, "run": list(t.run_command(_FILE))}
            for t in templates()
        ]
        print_json(listed)
        return
    widest = max(map(len, _names()))
    for template in templates():
        print_line(f"{template.name:{widest}}  {template.summary}")


def _ask(settings: Settings) -> str:
    """Return the template that a person chooses; empty without a terminal."""
    from assembler.scaffold import templates
    from dolmen.menu import Choice, can_ask, choose

    if not can_ask():
        return ""
    choices = [Choice(template.name, template.summary) for template in templates()]
    return choose("What should the image do?", choices, settings.color)


def _new_service(settings: Settings, directory: Path, file: str, *, force: bool) -> None:
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.scaffold import write_service
    from dolmen.next_command import show_next_command, show_next_step

    if file == "-":
        raise UsageError.of(usage.BAD_OPTION, "--service writes files: name one instead of -")
    made = write_service(directory, Path(file), replace=force)
    if not settings.quiet:
        print_note(f"detected {made.program.description}")
        for text in made.program.missing:
            print_note(f"not detected: {text}")
        for path in made.paths:
            print_note(f"wrote {path}")
    if made.to_commit is None:
        show_next_command(settings, *made.run_command, always=True)
        return
    # The tag of a package is the hash that git has of it.
    commands = (
        ("git", "add", str(made.to_commit)),
        ("git", "commit", "-m", f"Add {made.to_commit}"),
        made.run_command,
    )
    show_next_step(settings, " && ".join(map(shlex.join, commands)), always=True)
