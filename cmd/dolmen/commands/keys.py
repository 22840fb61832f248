"""`dolmen keys`: create Secure Boot keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.output import print_line
from dolmen.settings import settings_of

app = command_app(
    help="Create Secure Boot keys.",
    no_args_is_help=True,
)


@app.callback()
def keys() -> None:
    """Create Secure Boot keys."""


@app.command()
def generate(
    ctx: typer.Context,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory for the keys; created if missing.")
    ],
    name: Annotated[str, typer.Option(help="Name of the owner in the certificates.")] = "Dolmen",
    days: Annotated[
        int, typer.Option(help="Days that the certificates are valid.", min=1, max=36500)
    ] = 3650,
    encrypt: Annotated[
        bool,
        typer.Option(
            "--encrypt",
            help="Encrypt the private keys with a passphrase from the terminal.  "
            "[env: DOLMEN_SECURE_BOOT_PASSPHRASE]",
        ),
    ] = False,
) -> None:
    """Create a set of Secure Boot keys, with the files to enroll them.

    \b
    dolmen keys generate keys
    dolmen build --format raw-efi --secure-boot-key keys/db.key \\
      --secure-boot-cert keys/db.crt image.yml

    PK, KEK and db each have a private key (.key), a certificate (.crt), a signature list (.esl) and
    a signed one (.auth), for the firmware's menu or for loader/keys of systemd-boot. db.key signs
    images. The other keys only change the set; store them elsewhere. GUID identifies the owner.
    """
    from datetime import UTC, datetime

    from assembler.media import KeySetOptions, generate_keys
    from dolmen.passphrases import read_new_passphrase

    passphrase = read_new_passphrase() if encrypt else ""
    options = KeySetOptions(name, datetime.now(UTC), days, passphrase)
    for path in generate_keys(directory, options):
        print_line(str(path))
    words = ("--secure-boot-key", directory / "db.key", "--secure-boot-cert", directory / "db.crt")
    command = ("dolmen", "build", "--format", "raw-efi", *words, "image.yml")
    show_next_command(settings_of(ctx), *command)
