"""`dolmen pkg remote-tag`: another tag for what a registry has."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.console import progress, say
from dolmen.lazy import command_app
from dolmen.registries import Creds, Insecure, registry_options
from dolmen.settings import settings_of

app = command_app()


@app.command("remote-tag")
def remote_tag(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", help="The image as it is called.")],
    target: Annotated[
        str, typer.Argument(metavar="TO", help="What it is to be called, too: a tag or a name.")
    ],
    insecure: Insecure = None,
    registry_creds: Creds = None,
) -> None:
    """Give an image at a registry another tag; nothing is pulled or pushed.

    \b
        dolmen pkg remote-tag reg.example.com/team/sshd:8f2c v1.0
    """
    from dataclasses import replace

    from assembler.oci import Reference
    from assembler.packages import Remote

    settings = settings_of(ctx)
    remote = Remote(registry_options(settings, insecure, registry_creds))
    there = Reference.parse(source)
    other = Reference.parse(target if "/" in target else f"{there.name}:{target}")
    if not other.tag:
        other = replace(other, tag="latest")
    with progress(settings) as reporter:
        digest = remote.tag(there, other, reporter)
    say(f"{other} {digest}")
