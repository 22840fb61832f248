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
    from dolmen.run.serving import Place, make_server

    settings = settings_of(ctx)
    with make_server(directory, Place.parse(port), quiet=settings.quiet) as server:
        host, number = server.server_address[:2]
        if not settings.quiet:
            where = f"http://{host if isinstance(host, str) else host.decode()}:{number}/"
            sys.stderr.write(f"dolmen: {directory.resolve()} is {where}\n")
            sys.stderr.flush()
        server.serve_forever()
