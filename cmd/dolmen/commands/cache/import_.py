"""`dolmen cache import`: import images from an archive."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.settings import settings_of
from dolmen.sources import MaxImageSize
from dolmen.sources import max_image_size as largest_size

app = command_app()


@app.command(name="import")
def import_(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Tar of images, or `-` for standard input.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Image name, instead of the archive's."),
    ] = None,
    max_image_size: MaxImageSize = "",
) -> None:
    """Import images from a file or from standard input.

    \b
    dolmen cache import image.tar
    docker save example/app:1 | dolmen cache import -
    skopeo copy dir:app oci-archive:/dev/stdout | dolmen cache import --name app:1 -

    The archive is a tar of an OCI image layout, or the output of `docker save`; it may be
    compressed with gzip or zstd. All of its images are imported, or none.
    """
    from assembler.oci import ArchiveInput, Reference, Store, import_archive, import_file

    settings = settings_of(ctx)
    reference = Reference.parse(name) if name else None
    limit = largest_size(max_image_size)
    store = Store(settings.cache)
    with progress_reporter(settings) as reporter:
        if file == "-":
            archive = ArchiveInput(sys.stdin.buffer, "import", None, reference, limit)
            imported = import_archive(store, archive, reporter)
        else:
            imported = import_file(store, Path(file), reference, reporter, max_image_size=limit)
    for image in imported:
        print_line(f"{image.reference} {image.descriptor.digest}")
    if imported:
        show_next_command(settings, "dolmen", "cache", "inspect", str(imported[0].reference))
