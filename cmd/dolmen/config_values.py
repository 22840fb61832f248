"""The values of the configuration file with their lines, and the error for its mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from assembler.diagnostics import Place
    from assembler.errors import DolmenError

Value = str | int | bool | tuple[str, ...]


class FileValue(NamedTuple):
    """A value of the configuration file, and its line."""

    value: Value
    line: int


def config_mistake(message: str, place: Place | None, *hints: str) -> DolmenError:
    """Return the error for a mistake in the configuration file."""
    from assembler.codes import usage  # noqa: PLC0415
    from assembler.diagnostics import Diagnostic  # noqa: PLC0415
    from assembler.errors import ConfigError  # noqa: PLC0415

    return ConfigError([Diagnostic(usage.BAD_CONFIG_FILE, message, place, tuple(hints))])
