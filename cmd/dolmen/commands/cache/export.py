"""`dolmen cache export`: write an image of the store as an archive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import result_stream
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of

app = command_app()


@app.command()
def export(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="Image name.", autocompletion=completions.complete_images
        ),
    ],
    outfile: Annotated[
        str,
        typer.Option(
            "--outfile",
            "-o",
            metavar="FILE|-",
            help="File to write, or `-` for standard output.",
        ),
    ],
    kind: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="Format: oci, docker or filesystem.")
    ] = "oci",
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="OS/ARCH[/VARIANT]",
            help="Platform to export.  [default: all for oci, else this machine's]",
        ),
    ] = None,
    new_name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Image name in the archive."),
    ] = None,
) -> None:
    """Export an image to a file or to standard output.

    \b
    dolmen cache export alpine:3.20 --outfile alpine.tar
    dolmen cache export alpine:3.20 --format docker --outfile - | docker load
    dolmen cache export alpine:3.20 --format filesystem --platform linux/arm64 -o root.tar

    oci is an OCI image layout; docker is the format of `docker load`; filesystem is the root
    filesystem of a container. Archives are reproducible.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.files import atomic_write
    from assembler.oci import (
        ArchiveFormat,
        ExportOptions,
        Platform,
        Reference,
        Store,
        export_archive,
    )

    if kind not in list(ArchiveFormat):
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--format: invalid value {kind!r}",
            f"use {', '.join(ArchiveFormat)}",
        )
    settings = settings_of(ctx)
    options = ExportOptions(
        Reference.parse(name),
        ArchiveFormat(kind),
        Platform.parse(platform) if platform else None,
        Reference.parse(new_name) if new_name else None,
    )
    store = Store(settings.cache)
    with progress_reporter(settings) as reporter:
        if outfile == "-":
            export_archive(store, options, result_stream(), reporter)
            sys.stdout.flush()
        else:
            with atomic_write(Path(outfile)) as out:
                export_archive(store, options, out, reporter)
