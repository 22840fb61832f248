"""The global settings: store, verbosity, color, registries."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer


@dataclass(frozen=True)
class Settings:
    """The global options, with environment variables applied."""

    cache: Path
    verbosity: int = 0
    color: str = "auto"
    mirrors: tuple[str, ...] = ()
    cert_files: tuple[Path, ...] = ()

    @property
    def quiet(self) -> bool:
        """Tell whether only results and errors are printed."""
        return self.verbosity < 0


def settings_of(ctx: typer.Context) -> Settings:
    """Return the settings of the root command."""
    found = ctx.find_object(Settings)
    return found if found is not None else Settings(cache=default_cache(os.environ))


def default_cache(env: Mapping[str, str]) -> Path:
    """Return the default directory of the store."""
    chosen = env_or_linuxkit(env, "CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = env.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dolmen"


def env_or_linuxkit(env: Mapping[str, str], name: str) -> str:
    """Return the value of `DOLMEN_name` or `LINUXKIT_name`, or an empty text."""
    return env.get(f"DOLMEN_{name}") or env.get(f"LINUXKIT_{name}") or ""


def env_list_or_linuxkit(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the comma-separated items of such a variable."""
    return tuple(item.strip() for item in env_or_linuxkit(env, name).split(",") if item.strip())


def env_mirrors(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the registry mirrors, separated by commas or, as in LinuxKit, by spaces."""
    return tuple(env_or_linuxkit(env, "MIRROR").replace(",", " ").split())
