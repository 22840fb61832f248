"""`dolmen inspect`: show the contents of an image file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_json, print_line
from dolmen.settings import settings_of

app = command_app()


@app.command()
def inspect(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="FILE", help="File to inspect.")],
    files: Annotated[
        bool, typer.Option("--files", help="List all files, not only the first few.")
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            help="Fail unless a boot program in it is signed with the key of this certificate "
            "(PEM or DER).",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Show the contents of a file: partitions, kernel, command line, signature, files.

    \b
    dolmen inspect image-efi.img
    dolmen inspect --json image.iso | jq .parts
    dolmen inspect --cert keys/db.crt image.efi

    Files may come from any program: disks (raw, qcow2, VHD, VMDK), ISOs, UEFI programs and
    their signatures, kernels, initrds, tar archives, FAT, squashfs and erofs. For images in the
    store, see `dolmen cache inspect`. The exit code is 1 if the file is damaged.
    """
    from assembler.inspection import check_signed_by, check_undamaged, inspect_file
    from dolmen.inspection_text import inspection_lines

    found = inspect_file(path)
    if certificate is not None:
        check_signed_by(found, path, certificate)
    if as_json:
        print_json({"path": str(path), **found.as_json()})
    else:
        for line in inspection_lines(found, str(path), every_file=files):
            print_line(line)
    check_undamaged(found, path)
    if not as_json and _is_bootable(path):
        show_next_command(settings_of(ctx), "dolmen", "run", "qemu", path)


def _is_bootable(path: Path) -> bool:
    """Tell whether `dolmen run` takes a file by itself."""
    from assembler.errors import DolmenError
    from assembler.machine import ImageKind, detect_image

    try:
        return detect_image(path).kind is not ImageKind.KERNEL
    except DolmenError:
        return False
