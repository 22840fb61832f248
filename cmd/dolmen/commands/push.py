"""`dolmen push`: LinuxKit's command for clouds; say what to do instead."""

from __future__ import annotations

from typing import Annotated

import typer

from dolmen.lazy import command_app
from dolmen.linuxkit_backends import push_error

app = command_app()


@app.command(hidden=True, context_settings={"ignore_unknown_options": True})
def push(
    words: Annotated[list[str] | None, typer.Argument(metavar="BACKEND …")] = None,
) -> None:
    """Not supported: build the format of the cloud, and upload it with the cloud's tool."""
    raise push_error([word for word in words or () if not word.startswith("-")])
