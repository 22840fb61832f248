"""`dolmen ps`: the machines that are running."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.console import say
from dolmen.lazy import command_app

if TYPE_CHECKING:
    from assembler.machine.records import Entry

app = command_app()


@app.command()
def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Print only the names of those that are running.")
    ] = False,
) -> None:
    """List the machines that are running, and those that have ended by themselves.

    \b
    dolmen ps
    dolmen ps --json | jq -r '.[].name'

    What a machine that ended has said can be read until `dolmen stop NAME` forgets it.
    """
    from assembler.machine.records import Machines, state_directory

    machines = Machines(state_directory(os.environ))
    machines.forget_stale()
    entries = list(machines.all())
    if as_json:
        said = [
            {**e.record.to_json(), "running": e.alive, "folder": str(e.folder)} for e in entries
        ]
        say(json.dumps(said, indent=2))
    elif names:
        for entry in entries:
            if entry.alive:
                say(entry.record.name)
    elif entries:
        _table(entries)


def _table(entries: list[Entry]) -> None:
    rows = [("NAME", "STATE", "AGE", "MEMORY", "PORTS", "IMAGE")]
    for entry in entries:
        record = entry.record
        state = "ended" if not entry.alive else "attached" if record.owner else "running"
        rows.append(
            (
                record.name,
                state,
                _age(time.time() - record.started),
                f"{record.memory} MB",
                ", ".join(record.ports) or "-",
                record.image,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say("  ".join(cells).rstrip())


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
