"""`dolmen exec`: run a command in a service of a machine."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from assembler.codes import usage
from assembler.errors import UsageError
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.run.durations import parse_duration

app = command_app()


@app.command(
    "exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
def exec_(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the machine; `-` if there is only one.",
            autocompletion=completions.complete_machines,
        ),
    ],
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE",
            help="Name of the service.",
            autocompletion=completions.complete_services,
        ),
    ],
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND...", help="Command with its arguments.")
    ],
    interactive: Annotated[
        bool, typer.Option("-i", "--interactive", help="Pass standard input on to the command.")
    ] = False,
    tty: Annotated[
        bool, typer.Option("-t", "--tty", help="Run the command on a terminal.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(help="Time for the guest's agent to answer.", metavar="TIME")
    ] = "10s",
) -> None:
    """Run a command in the container of a service.

    \b
    dolmen exec web nginx nginx -t
    dolmen exec -it web nginx sh            # a shell; Ctrl-] q ends it from outside
    dolmen exec -i web db psql < dump.sql
    dolmen exec - nginx cat /etc/hostname   # the only machine

    The image has to allow it with `dolmen.agent` in the kernel's command line. The exit code is
    that of the command; 127 if it is missing, 126 if it cannot be executed. The first Ctrl-C
    interrupts the command, a second one kills it.
    """
    from assembler.machine import find_machine, run_command, state_directory
    from dolmen.run.command_terminal import CommandTerminal

    if tty and interactive and not sys.stdin.isatty():
        raise UsageError.of(
            usage.BAD_OPTION,
            "--tty: standard input is not a terminal",
            "pass a file or a pipe on with -i alone",
        )
    machine = find_machine("" if name == "-" else name, state_directory(os.environ))
    files = CommandTerminal(terminal=tty, interactive=interactive)
    status = run_command(machine, service, command, files, timeout=parse_duration(timeout))
    raise typer.Exit(status)
