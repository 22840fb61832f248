"""`dolmen doctor`: check this host for programs and features."""

from __future__ import annotations

import itertools
import platform
import shutil
import sys
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import Styled, print_json, print_line, wants_color
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.machine import HostFinding

app = command_app()


@app.command()
def doctor(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
) -> None:
    """Show the available and missing programs and features of this host, and how to install them.

    \b
    dolmen doctor
    dolmen doctor --json | jq '.[] | select(.well | not)'

    tar, kernel+initrd and OCI outputs need none of them; each line shows the purpose of its
    program. The exit code is 0 unless the store is not writable.
    """
    from assembler.machine import check_host
    from dolmen.package_options import debian_options

    settings = settings_of(ctx)
    found = check_host(settings.cache, debian_options())
    if as_json:
        print_json([asdict(f) for f in found])
    else:
        _show(found, color=wants_color(sys.stdout, settings.color))
    if not all(f.well for f in found if f.name == "store"):
        raise typer.Exit(1)
    qemu = f"qemu-system-{platform.machine()}"
    if not as_json and any(f.well for f in found if f.name == qemu):
        show_next_command(settings, "dolmen", "new")


def _show(found: list[HostFinding], *, color: bool) -> None:
    widest = max(len(f.name) for f in found)
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    room = max(20, columns - widest - len("  ok   "))
    for group, members in itertools.groupby(found, key=lambda f: f.group):
        print_line(group)
        for f in members:
            mark, sgr = ("ok", "32") if f.well else ("--", "33")
            shown = Styled(mark, sgr if color else "")
            notes = [f"for: {f.purpose}" if f.purpose else "", f.mend] if not f.well else []
            lines = [
                part for note in (f.seen, *filter(None, notes)) for part in _wrapped(note, room)
            ]
            print_line("  ", shown, f" {f.name:{widest}}  {lines[0]}")
            for line in lines[1:]:
                print_line(f"     {'':{widest}}  {line}")


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
