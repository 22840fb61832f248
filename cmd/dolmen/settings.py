"""The settings of a command, which are resolved when it asks for them.

This module is small, because every command imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer


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
    from dolmen.setting_values import (  # noqa: PLC0415 - not every command needs it
        default_cache,
        default_color,
        text_of,
        texts_of,
        value_of,
    )

    options = ctx.find_object(GlobalOptions) or GlobalOptions()
    verbosity = options.verbosity
    if verbosity is None:
        verbosity = -1 if value_of("quiet") is True else int(text_of("verbose") or 0)
    settings = Settings(
        cache=options.cache.expanduser() if options.cache else default_cache(),
        verbosity=verbosity,
        color=options.color or default_color(),
        mirrors=options.mirrors or texts_of("registries.mirrors"),
        cert_files=options.cert_files or tuple(map(Path, texts_of("registries.cert-files"))),
    )
    if settings.mirrors != options.mirrors or settings.cert_files != options.cert_files:
        from dolmen.global_options import check_global_options  # noqa: PLC0415 - slow to import

        check_global_options(settings.mirrors, settings.cert_files, "registries.cert-files")
    return settings


def is_default(ctx: typer.Context, parameter: str) -> bool:
    """Tell whether the command line leaves a parameter at its default."""
    source = ctx.get_parameter_source(parameter)
    return source is None or source.name.startswith("DEFAULT")
