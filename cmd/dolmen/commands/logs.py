"""`dolmen logs`: print the output of a machine or of a service in it."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_document
from dolmen.run.durations import parse_duration

app = command_app()


@app.command()
def logs(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="Name of the machine; optional if there is only one.",
            autocompletion=completions.complete_machines,
        ),
    ] = "",
    service: Annotated[
        str,
        typer.Option(
            help="Print the output of this service instead of the console's.",
            metavar="NAME",
            autocompletion=completions.complete_services,
        ),
    ] = "",
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Follow the output until the machine ends.")
    ] = False,
    timeout: Annotated[
        str,
        typer.Option(help="Time for the guest's agent to answer, with --service.", metavar="TIME"),
    ] = "10s",
) -> None:
    """Print the console output of a machine, or the output of a service in it.

    \b
    dolmen logs
    dolmen logs -f web
    dolmen logs web --service nginx

    For services, the image has to allow it with `dolmen.agent` in the kernel's command line.
    Containers of onboot have names such as onboot.000-dhcp.
    """
    from assembler.machine import find_machine, read_log, read_service_log, state_directory

    machine = find_machine(name, state_directory(os.environ))
    if service:
        wait = parse_duration(timeout)
        texts = read_service_log(machine, service, follow=follow, timeout=wait)
    else:
        texts = read_log(machine, follow=follow)
    for text in texts:
        print_document(text)
        sys.stdout.flush()
