"""`dolmen metadata`: CDs with metadata for guests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    help="Make CDs with metadata for guests.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
)


@app.callback()
def metadata() -> None:
    """Make CDs with metadata for guests."""


@app.command()
def create(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The ISO to write.")],
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="The metadata.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Take it from a file instead.", metavar="FILE")
    ] = None,
    cloud: Annotated[
        bool,
        typer.Option(
            "--nocloud", help="For cloud-init: `user-data` and `meta-data`, labelled `cidata`."
        ),
    ] = False,
) -> None:
    """Write an ISO with metadata, to be given to a machine as a CD.

    \b
    dolmen metadata create meta.iso '{"hostname": "web"}'
    dolmen metadata create --nocloud --file user-data.yml seed.iso

    The guest finds it in the file `config`, where LinuxKit's metadata package looks.
    `dolmen run qemu --data TEXT` makes such a CD by itself.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError, wrap_os_errors
    from assembler.machine import create_metadata_cd

    if (text is None) == (file is None):
        raise UsageError.of(usage.BAD_OPTION, "the metadata is either a text or --file FILE")
    content = (text or "").encode()
    if file is not None:
        with wrap_os_errors(file, "read"):
            content = file.read_bytes()
    create_metadata_cd(path, content, nocloud=cloud)
