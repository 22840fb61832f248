"""The place in the YAML files of an image that a diagnostic is about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from assembler.errors import DolmenError

if TYPE_CHECKING:
    from assembler.config import Config
    from assembler.diagnostics import Place

_STDIN = "-"


def yaml_place(files: Sequence[str], keys: tuple[str, ...]) -> Place | None:
    """Return the place that a path of keys leads to, or None without files.

    A container is known by its name.
    """
    if not files or not keys or _STDIN in files:
        return None
    config = _load(files)
    return None if config is None else _find(config, keys)


def _load(files: Sequence[str]) -> Config | None:
    from assembler.config import LoadOptions, load_config  # noqa: PLC0415 - only after a failure

    try:
        return load_config(files, LoadOptions(check_sources=False)).config
    except DolmenError:
        # They were valid when they were built: somebody has changed them.
        return None


def _find(config: Config, keys: tuple[str, ...]) -> Place | None:
    section, *rest = keys
    if section in ("onboot", "onshutdown", "services"):
        containers = getattr(config, section)
        return next(
            (c.positions.lookup("name").place for c in containers if c.name == rest[0]), None
        )
    if section == "kernel" and config.kernel is not None:
        return config.kernel.positions.place_of(*rest)
    return config.positions.place_of(*keys)
