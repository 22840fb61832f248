"""Where in the YAML files that a machine was built of something is to be mended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assembler.errors import DolmenError

if TYPE_CHECKING:
    from assembler.config.model import Config
    from assembler.diagnostics import Place

_STDIN = "-"


def place_of(files: Sequence[str], about: tuple[str, ...]) -> Place | None:
    """Return the place of a part of the configuration, if there are files to look into.

    `about` is a path of keys; containers are known by their names.
    """
    if not files or not about or _STDIN in files:
        return None
    config = _loaded(files)
    return None if config is None else _find(config, about)


def _loaded(files: Sequence[str]) -> Config | None:
    from assembler.config import LoadOptions, load_config  # noqa: PLC0415 - only when something went wrong

    try:
        return load_config(files, LoadOptions(check_sources=False)).config
    except DolmenError:
        # They were built before, so somebody is at work on them.
        return None


def _find(config: Config, about: tuple[str, ...]) -> Place | None:
    section, *rest = about
    if section in ("onboot", "onshutdown", "services"):
        containers = getattr(config, section)
        return next(
            (c.positions.lookup("name").place for c in containers if c.name == rest[0]), None
        )
    if section == "kernel" and config.kernel is not None:
        return config.kernel.positions.place_of(*rest)
    return config.positions.place_of(*about)
