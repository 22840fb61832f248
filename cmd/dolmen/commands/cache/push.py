"""`dolmen cache push`: images of the store to registries."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen import completing
from dolmen.console import progress
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command()
def push(
    ctx: typer.Context,
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME...", help="Names of images.", autocompletion=completing.images
        ),
    ],
    remote_name: Annotated[
        str | None,
        typer.Option(help="Push to this name instead; for one image only.", metavar="NAME"),
    ] = None,
    with_arch_tags: Annotated[
        bool,
        typer.Option("--with-arch-tags", help="Push each platform as TAG-ARCH, too."),
    ] = False,
    override: Annotated[
        bool,
        typer.Option("--override", help="Replace tags that stand for other images."),
    ] = False,
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Send images to their registries.

    \b
    dolmen cache push reg.example.com/org/app:1.0
    dolmen cache push --remote-name reg.example.com/org/app:1.1 org/app:1.0
    dolmen cache push --with-arch-tags reg.example.com/org/app:1.0

    All platforms are sent. What the registry has is not sent again, and a tag that
    stands for another image is not replaced unless --override is given.
    """
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.oci import PushOptions, Reference, Store
    from assembler.oci import push as push_images

    if remote_name and len(names) != 1:
        raise UsageError.of(usage.BAD_OPTION, "--remote-name goes with a single image")
    settings = settings_of(ctx)
    references = [Reference.parse(name) for name in names]
    options = PushOptions(
        registry_options(settings, insecure, registry_creds),
        remote_name=Reference.parse(remote_name) if remote_name else None,
        arch_tags=with_arch_tags,
        override=override,
    )
    with progress(settings) as reporter:
        push_images(Store(settings.cache), references, options, reporter)
