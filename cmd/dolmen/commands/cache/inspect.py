"""`dolmen cache inspect`: show an image of the store."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from assembler.quantities import size_text
from dolmen import completions
from dolmen.lazy import command_app
from dolmen.output import print_json, print_line
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
            metavar="NAME", help="Image name.", autocompletion=completions.complete_images
        ),
    ],
    platform: Annotated[
        str | None,
        typer.Option(
            help="Platform to show.  [default: this machine's, or any]",
            metavar="OS/ARCH[/VARIANT]",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Show an image: platforms, config, layers, labels.

    \b
    dolmen cache inspect alpine:3.20
    dolmen cache inspect --platform linux/arm64 --json alpine:3.20 | jq .manifest
    """
    from assembler.oci import Platform, Reference, Store, inspect_image

    report = inspect_image(
        Store(settings_of(ctx).cache),
        Reference.parse(name),
        Platform.parse(platform) if platform else None,
    )
    if as_json:
        print_json(report.as_json())
    else:
        _show(report)


def _show(report: ImageReport) -> None:
    listed, config, image = report.listed, report.image.config, report.image
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
        ("attested", "\n".join(report.attestations)),
    ]
    for key, value in facts:
        _print_fact(key, value)
    for number, layer in enumerate(image.manifest.layers):
        kind = layer.media_type.rpartition("/")[2]
        key = "" if number else "layers"
        _print_fact(key, f"{layer.digest}  {size_text(layer.size):>8}  {kind}")
    for number, (key, value) in enumerate(sorted(config.labels.items())):
        _print_fact("labels" if not number else "", f"{key}={value}")


def _print_fact(key: str, value: str) -> None:
    for number, line in enumerate(value.split("\n") if value else ()):
        print_line(f"{'' if number else key:12}{line}")
