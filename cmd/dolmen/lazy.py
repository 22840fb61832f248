"""Lazy commands: their modules are imported when they run, not when they are listed."""

from __future__ import annotations

import importlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from dolmen.switches import SwitchCommand

if TYPE_CHECKING:
    from collections.abc import Iterable

_EPILOG = "Global options are accepted here, too; see `dolmen --help`."


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command: its name, the module with its `app`, and its summary."""

    name: str
    module: str
    summary: str
    hidden: bool = False


def load_command(command: LazyCommand) -> Any:  # noqa: ANN401 - a command of the click inside typer
    """Import the command's module, and return its command."""
    app: typer.Typer = importlib.import_module(command.module).app
    loaded = typer.main.get_command(app)
    loaded.name = command.name
    loaded.epilog = loaded.epilog or _EPILOG
    return loaded


def lazy_group(table: Iterable[LazyCommand], shared: str = "") -> type[TyperGroup]:
    """Return a group class that lists placeholders, and loads a command to run it.

    Options of the command `shared` may precede the name of any command of the group.
    """
    entries = {entry.name: entry for entry in table}

    class LazyGroup(TyperGroup):
        """A group of lazy commands."""

        def __init__(self, **options: Any) -> None:  # noqa: ANN401 - typer's own options
            super().__init__(**options)
            for entry in entries.values():
                self.commands[entry.name] = TyperCommand(
                    name=entry.name, short_help=entry.summary, hidden=entry.hidden
                )

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401
            if shared and args and args[0].startswith("-"):
                args = move_options_behind(args, load_command(entries[shared]))
            parsed: list[str] = super().parse_args(ctx, args)
            return parsed

        def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401
            name, command, rest = super().resolve_command(ctx, args)
            if command is not None and name in entries:
                command = load_command(entries[name])
                _handle_interrupts()
            return name, command, rest

    return LazyGroup


def _handle_interrupts() -> None:
    """Raise KeyboardInterrupt from now on, so that a command cleans up; see `__main__`."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def move_options_behind(args: list[str], command: Any) -> list[str]:  # noqa: ANN401 - click's
    """Move options of a command in front of its name behind it; LinuxKit's groups have options."""
    with_value = {o for p in command.params if not getattr(p, "is_flag", False) for o in p.opts}
    known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} - {"--help", "-h"}
    options: list[str] = []
    rest = list(args)
    while rest and rest[0].partition("=")[0] in known and rest[0] != "--":
        word = rest.pop(0)
        options.append(word)
        if word in with_value:
            options += rest[:1]
            rest = rest[1:]
    return [*rest[:1], *options, *rest[1:]]


def command_group(help_text: str, table: Iterable[LazyCommand], shared: str = "") -> typer.Typer:
    """Return the typer app of a group of lazy commands; see `lazy_group`."""
    app = typer.Typer(
        cls=lazy_group(table, shared),
        help=help_text,
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
    )

    @app.callback()
    def nothing() -> None:
        pass

    nothing.__doc__ = help_text
    return app


class _CommandApp(typer.Typer):
    """An app whose commands take values of switches."""

    def command(self, *words: Any, **options: Any) -> Any:  # noqa: ANN401 - typer's own options
        return super().command(*words, **{"cls": SwitchCommand, **options})


def command_app(**options: Any) -> typer.Typer:  # noqa: ANN401 - typer's own options
    """Return the typer app for a module with one command or a few."""
    return _CommandApp(rich_markup_mode=None, add_completion=False, **options)
