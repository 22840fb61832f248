"""Options of every command that speaks to registries, and what they come to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from assembler.oci.registry.options import RegistryOptions
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


def registry_options(
    settings: Settings, insecure: list[str] | None, creds: list[str] | None
) -> RegistryOptions:
    """Return how registries are spoken to, by options and environment."""
    from assembler.oci.registry.options import read_options  # noqa: PLC0415

    return read_options(
        os.environ,
        mirrors=settings.mirrors,
        cert_files=settings.cert_files,
        insecure=insecure or (),
        creds=creds or (),
    )
