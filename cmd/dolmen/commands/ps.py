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
    from assembler.machine import RecordedMachine

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
    from assembler.machine import list_machines, state_directory

    machines = list_machines(state_directory(os.environ))
    if as_json:
        say(json.dumps([machine.as_json() for machine in machines], indent=2))
    elif names:
        for machine in machines:
            if machine.alive:
                say(machine.record.name)
    elif machines:
        _show_table(machines)


def _show_table(machines: list[RecordedMachine]) -> None:
    rows = [("NAME", "STATE", "AGE", "MEMORY", "PORTS", "IMAGE")]
    for machine in machines:
        record = machine.record
        state = "ended" if not machine.alive else "attached" if record.owner else "running"
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
