"""`dolmen ps`: list machines."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.printable import printable
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line

if TYPE_CHECKING:
    from assembler.machine import RecordedMachine

app = command_app()


@app.command()
def ps(
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    names: Annotated[
        bool, typer.Option("--names", help="Print only the names of running machines.")
    ] = False,
) -> None:
    """List running machines, and detached machines that have ended.

    \b
    dolmen ps
    dolmen ps --json | jq -r '.[].name'

    The files of an ended machine, such as its console log, are kept until `dolmen stop NAME`.
    """
    from assembler.machine import list_machines, state_directory

    machines = list_machines(state_directory(os.environ))
    if as_json:
        print_json([machine.as_json() for machine in machines])
    elif names:
        for machine in machines:
            if machine.alive:
                print_line(machine.record.name)
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
                printable(record.image),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print_line("  ".join(cells).rstrip())


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
