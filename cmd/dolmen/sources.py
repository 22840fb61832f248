"""Image sources, from options and settings, and the option about sources of YAML files."""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.registries import registry_options
from dolmen.setting_values import origin_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.oci import ImageSources
    from dolmen.settings import Settings

AllowLocalSources = Annotated[
    bool,
    typer.Option(
        "--allow-local-sources",
        help="Let YAML files from URLs name files and packages of this host by absolute paths "
        "and ~/.",
    ),
]


MaxImageSize = Annotated[
    str,
    typer.Option(
        "--max-image-size",
        metavar="SIZE",
        help="Largest image, uncompressed, such as 100G.  [env: DOLMEN_MAX_IMAGE_SIZE; "
        "default: 64GiB]",
    ),
]


def max_image_size(text: str = "") -> int:
    """Return the largest size of an image, from the option or the settings."""
    from assembler.oci import ImageSources  # noqa: PLC0415

    origin = "--max-image-size" if text else origin_of("images.max-size")
    if origin == "default":
        return ImageSources.max_image_size
    from dolmen.quantities import parse_bytes  # noqa: PLC0415

    return parse_bytes(text or text_of("images.max-size"), origin)


def image_sources(
    settings: Settings,
    *,
    offline: bool = False,
    pull: bool = False,
    docker: bool = False,
    insecure: Sequence[str] | None = None,
    registry_creds: Sequence[str] | None = None,
    max_size: str = "",
) -> ImageSources:
    """Return the image sources of a command."""
    from assembler.oci import ImageSources  # noqa: PLC0415

    if offline:
        # Else git fetches the objects that a partial clone lacks.
        os.environ["GIT_ALLOW_PROTOCOL"] = "file"
    registries = cache(partial(registry_options, settings, insecure, registry_creds))
    if insecure or registry_creds or os.environ.get("DOLMEN_REGISTRY_CREDS"):
        # Check these options even if no registry is contacted.
        registries()
    return ImageSources(
        store=settings.cache,
        registries=registries,
        offline=offline,
        pull=pull,
        docker=docker,
        max_image_size=max_image_size(max_size),
    )
