"""`dolmen cache inspect`: what an image is made of."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen import completing
from dolmen.commands.cache.text import printable
from dolmen.console import say, size_text
from dolmen.lazy import command_app
from dolmen.settings import settings_of

if TYPE_CHECKING:
    from assembler.oci import ImageReport

app = command_app()


@app.command()
def inspect(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="The name of an image.", autocompletion=completing.images
        ),
    ],
    platform: Annotated[
        str | None,
        typer.Option(help="The image for this platform.", metavar="OS/ARCH[/VARIANT]"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Show what an image is made of: platforms, config, layers, label.

    \b
    dolmen cache inspect alpine:3.20
    dolmen cache inspect --platform linux/arm64 --json alpine:3.20 | jq .manifest
    """
    from assembler.oci import Platform, Reference, Store, attestation_types, inspect_image

    store = Store(settings_of(ctx).cache)
    wanted = Platform.parse(platform) if platform else None
    found = inspect_image(store, Reference.parse(name), wanted)
    if as_json:
        say(
            json.dumps(
                found.as_json() | {"attested": attestation_types(store, found.image)},
                indent=2,
            )
        )
    else:
        _show(found, attestation_types(store, found.image))


def _show(found: ImageReport, statements: tuple[str, ...]) -> None:
    listed, config, image = found.listed, found.image.config, found.image
    platforms = [str(p) for p in listed.platforms] + [f"({p})" for p in listed.not_fetched]
    facts = [
        ("name", listed.name),
        ("digest", f"{listed.descriptor.digest}  {listed.descriptor.media_type}"),
        ("platforms", ", ".join(platforms)),
        ("image", f"{image.digest}  {config.platform}"),
        ("created", config.created),
        ("entrypoint", json.dumps(config.entrypoint) if config.entrypoint else ""),
        ("cmd", json.dumps(config.cmd) if config.cmd else ""),
        ("env", "\n".join(config.env)),
        ("directory", config.working_dir),
        ("user", config.user),
        ("attested", "\n".join(statements)),
    ]
    for key, value in facts:
        _fact(key, value)
    for number, layer in enumerate(image.manifest.layers):
        kind = layer.media_type.rpartition("/")[2]
        _fact("layers" if not number else "", f"{layer.digest}  {size_text(layer.size):>8}  {kind}")
    for number, (key, value) in enumerate(sorted(config.labels.items())):
        _fact("labels" if not number else "", f"{key}={value}")


def _fact(key: str, value: str) -> None:
    for number, line in enumerate(printable(value).splitlines()):
        say(f"{'' if number else key:12}{line}")
