"""Registry options, shared by all commands that use registries."""

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
        help="Use HTTP, or skip certificate checks, for HOST[:PORT]; repeatable.  "
        "[env: DOLMEN_INSECURE]",
        metavar="HOST",
    ),
]
Creds = Annotated[
    list[str] | None,
    typer.Option(
        "--registry-creds",
        help="Registry credentials, in addition to Docker's config.json; repeatable.  "
        "[env: DOLMEN_REGISTRY_CREDS]",
        metavar="REGISTRY=USER:PASS",
    ),
]


def check_global_options(settings: Settings) -> None:
    """Check the mirrors and certificates, whether the command uses them or not."""
    import ssl  # noqa: PLC0415

    from assembler.oci import parse_mirror  # noqa: PLC0415

    problems: list[Diagnostic] = []
    for text in settings.mirrors:
        try:
            parse_mirror(text)
        except UsageError as error:
            problems += error.diagnostics
    for path in settings.cert_files:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except ssl.SSLError:
            hint = "a certificate begins with -----BEGIN CERTIFICATE-----"
            message = f"--cert-file: no certificate in {path}"
            problems.append(Diagnostic(usage.BAD_OPTION, message, hints=(hint,)))
        except OSError as error:
            message = f"--cert-file: cannot read {path}: {error.strerror}"
            problems.append(Diagnostic(usage.BAD_OPTION, message))
    if problems:
        raise UsageError(problems)


def registry_options(
    settings: Settings, insecure: Sequence[str] | None, creds: Sequence[str] | None
) -> RegistryOptions:
    """Return the registry options of the command line and the environment."""
    from assembler.oci import read_registry_options  # noqa: PLC0415

    return read_registry_options(
        os.environ,
        mirrors=settings.mirrors,
        cert_files=settings.cert_files,
        insecure=insecure or (),
        creds=creds or (),
    )
