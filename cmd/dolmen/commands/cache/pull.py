"""`dolmen cache pull`: pull images into the store."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.next_command import show_next_command
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of
from dolmen.sources import MaxImageSize
from dolmen.sources import max_image_size as largest_size

app = command_app()


@app.command()
def pull(
    ctx: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Image names.")],
    platform: Annotated[
        list[str] | None,
        typer.Option(
            help="Pull only this platform, such as linux/arm64; repeatable.",
            metavar="OS/ARCH[/VARIANT]",
        ),
    ] = None,
    all_platforms: Annotated[
        bool, typer.Option("--all-platforms", help="Pull all platforms (the default).")
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
    max_image_size: MaxImageSize = "",
) -> None:
    """Pull images from registries into the store.

    \b
    dolmen cache pull alpine:3.20
    dolmen cache pull --platform linux/arm64 alpine:3.20 busybox
    dolmen --mirror docker.io=https://mirror.example.com cache pull alpine

    All platforms of an image are pulled, so that it can be exported, pushed and built
    for any of them. Blobs in the store are not fetched again, and an interrupted pull
    resumes.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.oci import Platform, PullOptions, Reference, Store
    from assembler.oci import pull as pull_images

    if platform and all_platforms:
        raise UsageError.of(
            usage.BAD_OPTION,
            "--platform and --all-platforms exclude each other",
            "remove one of them",
        )
    settings = settings_of(ctx)
    references = [Reference.parse(name) for name in names]
    options = PullOptions(
        registry_options(settings, insecure, registry_creds),
        tuple(Platform.parse(p) for p in platform or ()),
        largest_size(max_image_size),
    )
    with progress_reporter(settings) as reporter:
        pull_images(Store(settings.cache), references, options, reporter)
    show_next_command(settings, "dolmen", "cache", "inspect", names[0])
