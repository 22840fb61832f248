"""Options of every command that speaks to registries, and what they come to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.oci import RegistryOptions
    from dolmen.settings import Settings

Insecure = Annotated[
    list[str] | None,
    typer.Option(
        "--insecure",
        help="Speak to HOST[:PORT] in plain http, or with any certificate; repeatable.  "
        "[env: DOLMEN_INSECURE]",
        metavar="HOST",
    ),
]
Creds = Annotated[
    list[str] | None,
    typer.Option(
        "--registry-creds",
        help="Who we are to a registry; repeatable. Docker's config.json is read as well.  "
        "[env: DOLMEN_REGISTRY_CREDS]",
        metavar="REGISTRY=USER:PASS",
    ),
]


def check(settings: Settings) -> None:
    """Refuse mirrors and certificates that are none, even if nothing is going to be fetched."""
    import ssl  # noqa: PLC0415

    from assembler.oci import parse_mirror  # noqa: PLC0415

    wrong: list[Diagnostic] = []
    for text in settings.mirrors:
        try:
            parse_mirror(text)
        except UsageError as error:
            wrong += error.diagnostics
    for path in settings.cert_files:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except ssl.SSLError:
            hint = "it is a text with -----BEGIN CERTIFICATE-----"
            message = f"--cert-file: there is no certificate in {path}"
            wrong.append(Diagnostic(usage.BAD_OPTION, message, hints=(hint,)))
        except OSError as error:
            message = f"--cert-file: cannot read {path}: {error.strerror}"
            wrong.append(Diagnostic(usage.BAD_OPTION, message))
    if wrong:
        raise UsageError(wrong)


def registry_options(
    settings: Settings, insecure: Sequence[str] | None, creds: Sequence[str] | None
) -> RegistryOptions:
    """Return how registries are spoken to, by options and environment."""
    from assembler.oci import read_registry_options  # noqa: PLC0415

    return read_registry_options(
        os.environ,
        mirrors=settings.mirrors,
        cert_files=settings.cert_files,
        insecure=insecure or (),
        creds=creds or (),
    )
