"""The commands, options and error codes that the application has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Command:
    """A command: which options it has, and whether each takes a value."""

    options: Mapping[str, bool] = field(default_factory=dict)
    children: Mapping[str, Command] = field(default_factory=dict)
    # The command of a group that is meant if none is named.
    default: str = ""
    # Whether it hands options of other programs on.
    is_open: bool = False

    def all_options(self) -> Iterator[str]:
        """Yield the options of this command and of all below it."""
        yield from self.options
        for child in self.children.values():
            yield from child.all_options()


@dataclass(frozen=True, slots=True)
class Known:
    """What texts may name."""

    program: Command
    codes: frozenset[str]


def from_application() -> Known:
    """Return what Dolmen itself knows, with hidden commands and options."""
    import typer  # noqa: PLC0415 - only for the real tree

    from assembler.codes import all_codes  # noqa: PLC0415
    from dolmen.app import app  # noqa: PLC0415

    codes = frozenset(str(code) for code in all_codes().values())
    return Known(_command("dolmen", typer.main.get_command(app)), codes)


def _command(name: str, command: Any) -> Command:  # noqa: ANN401 - typer's own
    with command.make_context(name, [], resilient_parsing=True) as context:
        options = {"--help": False, "-h": False}
        for parameter in command.get_params(context):
            if parameter.param_type_name == "option":
                takes = not (parameter.is_flag or parameter.count)
                names = (*parameter.opts, *parameter.secondary_opts)
                options.update(dict.fromkeys(names, takes))
        children = {}
        for child in getattr(command, "commands", {}):
            _, loaded, _ = command.resolve_command(context, [child])
            children[child] = _command(child, loaded)
        default = command.resolve_command(context, ["none"])[0] if children else ""
        return Command(options, children, default or "", context.ignore_unknown_options)
