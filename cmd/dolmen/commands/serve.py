"""`dolmen serve`: serve images over HTTP for network boot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_note
from dolmen.settings import settings_of

app = command_app()


@app.command()
def serve(
    ctx: typer.Context,
    port: Annotated[
        str,
        typer.Option(
            help="Port to listen on, as PORT for this host only or as ADDRESS:PORT; IPv6 addresses "
            "in brackets.",
            metavar="PORT",
        ),
    ] = "8080",
    directory: Annotated[
        Path, typer.Option("--directory", "--dir", help="Directory to serve.", metavar="DIR")
    ] = Path(),
) -> None:
    """Serve a directory of images over HTTP until Ctrl-C.

    \b
    dolmen serve
    dolmen serve --port 0.0.0.0:8080 --directory out

    Each NAME-kernel gets a script NAME.ipxe for iPXE: chain http://HOST:8080/NAME.ipxe.
    A single image is also boot.ipxe. Symbolic links to the outside are not served.
    """
    from assembler.serve import ServeOptions, Server, parse_listen_address
    from dolmen.line_log import LineLog

    settings = settings_of(ctx)
    host, number = parse_listen_address(port)
    options = ServeOptions(directory=directory, host=host, port=number)
    with Server(options, progress=LineLog(settings.verbosity).emit) as server:
        if not settings.quiet:
            print_note(f"dolmen: serving {directory.resolve()} at {server.address}")
        server.serve_forever()
