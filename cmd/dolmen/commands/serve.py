"""`dolmen serve`: images over HTTP, for machines that boot from the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[
        str,
        typer.Option(
            help="Where to listen: PORT, which only this machine reaches, or ADDRESS:PORT.",
            metavar="PORT",
        ),
    ] = "8080",
    directory: Annotated[
        Path, typer.Option("--directory", "--dir", help="What to serve.", metavar="DIR")
    ] = Path(),
) -> None:
    """Serve a directory with images over HTTP, until Ctrl-C.

    \b
    dolmen serve
    dolmen serve --port 0.0.0.0:8080 --directory out

    For every NAME-kernel there is a script NAME.ipxe, which iPXE boots: chain
    http://HOST:8080/NAME.ipxe. With one image only it is boot.ipxe, too.
    """
    from assembler.serve import ServeOptions, Server, parse_listen_address
    from dolmen.lines import LineLog

    settings = settings_of(ctx)
    host, number = parse_listen_address(port)
    options = ServeOptions(directory=directory, host=host, port=number)
    with Server(options, progress=LineLog(settings.verbosity).emit) as server:
        if not settings.quiet:
            sys.stderr.write(f"dolmen: {directory.resolve()} is {server.address}\n")
            sys.stderr.flush()
        server.serve_forever()
