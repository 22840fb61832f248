"""Registry options, shared by all commands that use registries."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.setting_values import texts_of

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


def registry_options(
    settings: Settings, insecure: Sequence[str] | None, creds: Sequence[str] | None
) -> RegistryOptions:
    """Return the registry options of the command line and the environment."""
    from assembler.oci import read_registry_options  # noqa: PLC0415

    return read_registry_options(
        os.environ,
        mirrors=settings.mirrors,
        cert_files=settings.cert_files,
        insecure=(*(insecure or ()), *texts_of("registries.insecure")),
        creds=creds or (),
    )
