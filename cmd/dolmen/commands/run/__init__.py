"""`dolmen run`: images in virtual machines."""

from __future__ import annotations

from typing import Any

import typer

from dolmen.lazy import Lazy, lazy_group

_TABLE = (Lazy("qemu", "dolmen.commands.run.qemu", "Run an image in QEMU."),)
_HELP = """Run an image in a virtual machine.

\b
    dolmen run qemu image.yml            # build it and run it
    dolmen run image                     # what was built: qemu is what is meant

The machines that are running are shown by `dolmen ps`.
"""


class _Backends(lazy_group(_TABLE)):  # type: ignore[misc]
    """The backends; a path in the place of one means qemu, as in LinuxKit."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
        """Put the name in front that was left out."""
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["qemu", *args]
        return super().resolve_command(ctx, args)


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
