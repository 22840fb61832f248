"""`dolmen stop`: stop machines."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_note
from dolmen.run.durations import parse_duration
from dolmen.settings import settings_of

app = command_app()


@app.command()
def stop(
    ctx: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Names of machines; optional if there is only one.",
            autocompletion=completions.complete_machines,
        ),
    ] = None,
    all_machines: Annotated[bool, typer.Option("--all", help="Stop all machines.")] = False,
    timeout: Annotated[
        str,
        typer.Option(help="Time for the guest to shut down; 0 ends it at once.", metavar="TIME"),
    ] = "20s",
) -> None:
    """Stop machines: shut the guests down, and end them after the timeout.

    \b
    dolmen stop web
    dolmen stop --all --timeout 0

    The files of ended machines are removed.
    """
    from assembler.machine import (
        StopOutcome,
        find_machine,
        list_machines,
        state_directory,
        stop_machine,
    )

    wait = parse_duration(timeout)
    texts = {
        StopOutcome.ENDED_BEFORE: "had already ended",
        StopOutcome.SHUT_DOWN: "has shut down",
        StopOutcome.TIMED_OUT: f"did not power off within {wait:g} s; killed",
        StopOutcome.KILLED: "was killed",
    }
    state = state_directory(os.environ)
    machines = list_machines(state)
    if not all_machines:
        machines = [find_machine(name, state) for name in names or [""]]
    for machine in machines:
        outcome = stop_machine(machine, wait)
        if not settings_of(ctx).quiet:
            print_note(f"dolmen: {machine.record.name} {texts[outcome]}")
