"""`dolmen keys`: keys of one's own for Secure Boot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.console import say

app = typer.Typer(
    help="Make keys for Secure Boot.",
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
)


@app.callback()
def keys() -> None:
    """Make keys for Secure Boot."""


@app.command()
def generate(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where they go; made if it is not there.")
    ],
    name: Annotated[
        str, typer.Option(help="Whose keys they are; it stands in the certificates.")
    ] = "Dolmen",
    days: Annotated[
        int, typer.Option(help="How long the certificates are valid.", min=1, max=36500)
    ] = 3650,
    encrypt: Annotated[
        bool,
        typer.Option(
            "--encrypt",
            help="Encrypt the private keys; the passphrase is asked for.  "
            "[env: DOLMEN_SECURE_BOOT_PASSPHRASE]",
        ),
    ] = False,
) -> None:
    """Make a set of keys for Secure Boot, with the files that enrol them.

    \b
    dolmen keys generate keys
    dolmen build --format raw-efi --secure-boot-key keys/db.key \\
      --secure-boot-cert keys/db.crt image.yml

    PK, KEK and db are each a private key (.key), a certificate (.crt), what firmware keeps of it
    (.esl) and the same signed (.auth), for the firmware's menu or for loader/keys of systemd-boot.
    db.key signs images, the others are needed to change the set, and are best kept elsewhere.
    GUID says whose lists they are.
    """
    from datetime import UTC, datetime

    from assembler.media import KeySetOptions, generate_keys
    from dolmen.secrets import new_passphrase

    passphrase = new_passphrase() if encrypt else ""
    options = KeySetOptions(name, datetime.now(UTC), days, passphrase)
    for path in generate_keys(directory, options):
        say(str(path))
