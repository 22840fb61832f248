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
    from assembler.machine import (
        StopOutcome,
        find_machine,
        list_machines,
        state_directory,
        stop_machine,
    )

    texts = {
        StopOutcome.ENDED_BEFORE: "had ended before",
        StopOutcome.SHUT_DOWN: "has ended",
        StopOutcome.KILLED: "was ended",
    }
    wait = seconds(timeout)
    state = state_directory(os.environ)
    machines = list_machines(state)
    if not all_of_them:
        machines = [find_machine(name, state) for name in names or [""]]
    for machine in machines:
        outcome = stop_machine(machine, wait)
        if not settings_of(ctx).quiet:
            sys.stderr.write(f"dolmen: {machine.record.name} {texts[outcome]}\n")
