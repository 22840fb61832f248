"""`dolmen cache push`: push images from the store."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen import completions
from dolmen.lazy import command_app
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command()
def push(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="Image names.", autocompletion=completions.complete_images
        ),
    ],
    remote_name: Annotated[
        str | None,
        typer.Option(help="Push under this name; for a single image only.", metavar="NAME"),
    ] = None,
    with_arch_tags: Annotated[
        bool,
        typer.Option("--with-arch-tags", help="Also push each platform as TAG-ARCH."),
    ] = False,
    override: Annotated[
        bool,
        typer.Option("--override", help="Replace tags of other images."),
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Push images from the store to registries.

    \b
    dolmen cache push reg.example.com/org/app:1.0
    dolmen cache push --remote-name reg.example.com/org/app:1.1 org/app:1.0
    dolmen cache push --with-arch-tags reg.example.com/org/app:1.0

    All platforms are pushed. Blobs that the registry has are not sent again. A tag of
    another image is not replaced without --override.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.oci import PushOptions, Reference, Store
    from assembler.oci import push as push_images

    if remote_name and len(names) != 1:
        raise UsageError.of(usage.BAD_OPTION, "--remote-name works with a single image only")
    settings = settings_of(ctx)
    references = [Reference.parse(name) for name in names]
    options = PushOptions(
        registry_options(settings, insecure, registry_creds),
        remote_name=Reference.parse(remote_name) if remote_name else None,
        arch_tags=with_arch_tags,
        override=override,
    )
    with progress_reporter(settings) as reporter:
        push_images(Store(settings.cache), references, options, reporter)
