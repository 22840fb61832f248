"""`dolmen stop`: ending machines in order."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.run.times import seconds
from dolmen.settings import settings_of

app = command_app()


@app.command()
def stop(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...", help="The machines; may be left out if there is only one."
        ),
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="End every machine.")] = False,
    timeout: Annotated[
        str,
        typer.Option(help="How long the guest may take; 0 ends it at once.", metavar="TIME"),
    ] = "10s",
) -> None:
    """End machines: the guest is asked first, and ended when the time is over.

    \b
    dolmen stop web
    dolmen stop --all --timeout 0

    Of machines that have ended by themselves, what is kept is forgotten.
    """
    from assembler.machine.records import Machines, state_directory
    from assembler.machine.running import stop as end

    patience = seconds(timeout)
    machines = Machines(state_directory(os.environ))
    machines.forget_stale()
    entries = list(machines.all()) if all_of_them else [machines.find(n) for n in names or [""]]
    for entry in entries:
        how = "had ended before"
        if entry.alive:
            well = end(entry.folder, entry.record.process, patience)
            how = "has ended" if well else "was ended"
        owner = entry.record.owner
        if owner is None or not owner.alive:
            machines.settle(entry)
            machines.remove(entry.folder)
        if not settings_of(ctx).quiet:
            sys.stderr.write(f"dolmen: {entry.record.name} {how}\n")
