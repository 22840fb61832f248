"""`dolmen inspect`: what a file holds that was built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dolmen.console import say
from dolmen.lazy import command_app

app = command_app()


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="The file.")],
    files: Annotated[
        bool, typer.Option("--files", help="List all files, of which only a few are shown else.")
    ] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--cert",
            help="Fail unless something in it that boots is signed with the key of this "
            "certificate (PEM or DER).",
            metavar="FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what a file holds: partitions, kernel, command line, signature, files.

    \b
    dolmen inspect image-efi.img
    dolmen inspect --json image.iso | jq .parts
    dolmen inspect --cert keys/db.crt image.efi

    It looks at the content alone, whatever made the file: disks (raw, qcow2, VHD, VMDK), ISOs,
    programs for UEFI and whether their signatures hold, kernels, initrds, tar archives, FAT,
    squashfs and erofs. Files of the store are shown by `dolmen cache inspect`.
    """
    from assembler.inspection import inspect_file
    from dolmen.showing import lines

    found = inspect_file(path)
    if certificate is not None:
        from assembler.codes import output as codes
        from assembler.errors import OutputError
        from assembler.media.keys import certificate_fingerprint, read_certificate

        if certificate_fingerprint(read_certificate(certificate)) not in set(found.signers()):
            raise OutputError.of(
                codes.NOT_SIGNED, f"nothing in {path} is signed with the key of {certificate}"
            )
    if as_json:
        say(json.dumps({"path": str(path), **found.as_json()}, indent=2))
    else:
        for line in lines(found, str(path), every_file=files):
            say(line)
