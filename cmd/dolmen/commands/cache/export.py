"""`dolmen cache export`: an image of the store as an archive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen import completing
from dolmen.console import progress
from dolmen.lazy import command_app
from dolmen.settings import settings_of

app = command_app()


@app.command()
def export(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of an image.", autocompletion=completing.images
        ),
    ],
    outfile: Annotated[
        str,
        typer.Option("--outfile", "-o", metavar="FILE|-", help="Where to; - is standard output."),
    ],
    kind: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="oci, docker or filesystem.")
    ] = "oci",
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="OS/ARCH[/VARIANT]",
            help="One platform; by default all (oci), or this machine's.",
        ),
    ] = None,
    new_name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="The name of the image in the archive."),
    ] = None,
) -> None:
    """Write an image into a file or to standard output.

    \b
    dolmen cache export alpine:3.20 --outfile alpine.tar
    dolmen cache export alpine:3.20 --format docker --outfile - | docker load
    dolmen cache export alpine:3.20 --format filesystem --platform linux/arm64 -o root.tar

    oci is an OCI image layout; docker is what `docker load` reads; filesystem is the
    files of the image as a container would see them. The bytes are the same every time.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.files import atomic_write
    from assembler.oci import ArchiveFormat, ExportOptions, Platform, Reference, Store
    from assembler.oci import export_archive as export_image

    if kind not in list(ArchiveFormat):
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--format: there is no format {kind!r}",
            f"use {', '.join(ArchiveFormat)}",
        )
    settings = settings_of(ctx)
    wanted = ExportOptions(
        Reference.parse(name),
        ArchiveFormat(kind),
        Platform.parse(platform) if platform else None,
        Reference.parse(new_name) if new_name else None,
    )
    store = Store(settings.cache)
    with progress(settings) as reporter:
        if outfile == "-":
            export_image(store, wanted, sys.stdout.buffer, reporter)
            sys.stdout.flush()
        else:
            with atomic_write(Path(outfile)) as out:
                export_image(store, wanted, out, reporter)
