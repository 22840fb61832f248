"""`dolmen metadata`: create metadata CDs for guests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app

app = command_app(
    help="Create metadata CDs for guests.",
    no_args_is_help=True,
)


@app.callback()
def metadata() -> None:
    """Create metadata CDs for guests."""


@app.command()
def create(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The ISO to write.")],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The metadata.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Read the metadata from a file.", metavar="FILE")
    ] = None,
    cloud: Annotated[
        bool,
        typer.Option(
            "--nocloud", help="For cloud-init: `user-data` and `meta-data`, labelled `cidata`."
        ),
    ] = False,
) -> None:
    """Write an ISO with metadata, to attach to a machine as a CD.

    \b
    dolmen metadata create meta.iso '{"hostname": "web"}'
    dolmen metadata create --nocloud --file user-data.yml seed.iso

    The metadata is in the file `config`, which LinuxKit's metadata package reads.
    `dolmen run qemu --data TEXT` creates such a CD automatically.
    """
    from assembler.codes import usage
    from assembler.data_files import read_data_stream
    from assembler.errors import UsageError, wrap_os_errors
    from assembler.machine import create_metadata_cd

    if (text is None) == (file is None):
        raise UsageError.of(
            usage.BAD_OPTION, "give the metadata either as TEXT or with --file FILE"
        )
    content = (text or "").encode()
    if file is not None:
        with wrap_os_errors(file, "read"):
            content = read_data_stream(file)
    create_metadata_cd(path, content, nocloud=cloud)
