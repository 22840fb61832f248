"""`dolmen cache import`: images from a file or standard input into the store."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from dolmen.console import progress, say
from dolmen.lazy import command_app
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.errors import HostError

app = command_app()


@app.command(name="import")
def import_(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="A tar of images; - is standard input.")
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The name the image gets, instead of its own."),
    ] = None,
) -> None:
    """Bring images from a file or standard input.

    \b
    dolmen cache import image.tar
    docker save example/app:1 | dolmen cache import -
    skopeo copy dir:app oci-archive:/dev/stdout | dolmen cache import --name app:1 -

    The file is a tar of an OCI image layout, or what `docker save` writes; either may be
    compressed by gzip or zstd. All of its images arrive, or none.
    """
    from assembler.errors import wrap_os_errors
    from assembler.oci import ArchiveInput, Reference, Store, import_archive

    settings = settings_of(ctx)
    reference = Reference.parse(name) if name else None
    opened: AbstractContextManager[IO[bytes]] = nullcontext(sys.stdin.buffer)
    title, size = "import", 0
    if file != "-":
        path = Path(file)
        if path.is_dir():
            raise _is_a_directory(path)
        with wrap_os_errors(path, "read"):
            opened, size = path.open("rb"), path.stat().st_size
        title = f"import {path.name}"
    with opened as source, progress(settings) as reporter:
        upload = ArchiveInput(source, title, size or None, reference)
        done = import_archive(Store(settings.cache), upload, reporter)
    for image in done:
        say(f"{image.reference} {image.descriptor.digest}")


def _is_a_directory(path: Path) -> HostError:
    import shlex

    from assembler.codes import host
    from assembler.errors import HostError

    hints = ["name the archive in it"]
    if (path / "oci-layout").is_file() or (path / "index.json").is_file():
        directory = shlex.quote(str(path))
        piped = f"tar -C {directory} -cf - . | dolmen cache import -"
        hints = [f"a layout is imported as an archive: {piped}"]
    return HostError.of(host.NOT_READABLE, f"{path} is a directory, not an archive", *hints)
