"""`dolmen run`: run images in virtual machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from dolmen.lazy import LazyCommand, lazy_group
from dolmen.linuxkit_backends import BACKENDS, run_error

_TABLE = (LazyCommand("qemu", "dolmen.commands.run.qemu", "Run an image in QEMU."),)
_HELP = """Run an image in a virtual machine.

\b
    dolmen run qemu image.yml            # build an image and run it
    dolmen run image                     # run a built image; the default backend is qemu

`dolmen ps` lists running machines.
"""


class _Backends(lazy_group(_TABLE, shared="qemu")):  # type: ignore[misc]
    """The backends; a path instead of a backend means qemu, as in LinuxKit."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Insert the default backend."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            if args[0] in BACKENDS and not _is_image(args):
                raise run_error(args[0])
            args = ["qemu", *args]
        return super().resolve_command(ctx, args)


def _is_image(args: list[str]) -> bool:
    """Tell whether a word that is also the name of a backend names the only image."""
    others = [word for word in args[1:] if not word.startswith("-")]
    return not others and any(Path().glob(f"{args[0]}*"))


app = typer.Typer(
    cls=_Backends,
    help=_HELP,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
)


@app.callback(help=_HELP)
def run() -> None:
    """Run an image in a virtual machine."""
