"""The settings of a command, which are resolved when it asks for them.

This module is small, because every command imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import typer

MIRROR_VARIABLES = ("DOLMEN_MIRROR", "LINUXKIT_MIRROR")


@dataclass(frozen=True)
class Settings:
    """The global options, with environment variables and the configuration file applied."""

    cache: Path
    verbosity: int = 0
    color: str = "auto"
    mirrors: tuple[str, ...] = ()
    cert_files: tuple[Path, ...] = ()

    @property
    def quiet(self) -> bool:
        """Tell whether only results and errors are printed."""
        return self.verbosity < 0


class GlobalOptions:
    """The global options of the command line, before the configuration file is read."""

    # Not a dataclass: these take time to make.
    __slots__ = ("cache", "cert_files", "color", "mirrors", "verbosity")

    def __init__(
        self,
        *,
        cache: Path | None = None,
        verbosity: int | None = None,
        color: str = "",
        mirrors: tuple[str, ...] = (),
        cert_files: tuple[Path, ...] = (),
    ) -> None:
        """Keep the options; the verbosity is None if neither --quiet nor --verbose was given."""
        self.cache = cache
        self.verbosity = verbosity
        self.color = color
        self.mirrors = mirrors
        self.cert_files = cert_files


def settings_of(ctx: typer.Context) -> Settings:
    """Return the settings of the root command; this reads the configuration file."""
    from dolmen.setting_values import resolve  # noqa: PLC0415 - not every command needs it

    return resolve(ctx.find_object(GlobalOptions) or GlobalOptions())


def is_default(ctx: typer.Context, parameter: str) -> bool:
    """Tell whether the command line leaves a parameter at its default."""
    source = ctx.get_parameter_source(parameter)
    return source is None or source.name.startswith("DEFAULT")
