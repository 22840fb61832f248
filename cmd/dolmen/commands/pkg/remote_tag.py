"""`dolmen pkg remote-tag`: add a tag to an image at a registry."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_line
from dolmen.progress import progress_reporter
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command("remote-tag")
def remote_tag(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="Name of the image.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="New tag, or full name in the same repository.")
    ],
    release: Annotated[  # noqa: ARG001 - LinuxKit's option
        str,
        typer.Option(metavar="TAG", help="No effect, as in LinuxKit: TO is the tag."),
    ] = "",
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Add a tag to an image at a registry, without pulling or pushing layers.

    \b
        dolmen pkg remote-tag reg.example.com/team/sshd:8f2c v1.0
    """
    from assembler.packages import tag_remote_image

    settings = settings_of(ctx)
    registries = registry_options(settings, insecure, registry_creds)
    with progress_reporter(settings) as reporter:
        tagged = tag_remote_image(source, target, registries, reporter)
    print_line(f"{tagged.reference} {tagged.digest}")
