"""Find the place in the YAML files of an image that a diagnostic refers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import DolmenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config import Config
    from assembler.diagnostics import Place

_STDIN = "-"


def yaml_place(files: Sequence[str], keys: tuple[str, ...]) -> Place | None:
    """Return the place of a key path, or None without files.

    A container is identified by its name.
    """
    if not files or not keys or _STDIN in files:
        return None
    config = _load_config(files)
    return None if config is None else _find_place(config, keys)


def _load_config(files: Sequence[str]) -> Config | None:
    from assembler.config import LoadOptions, load_config  # noqa: PLC0415 - only after a failure

    try:
        return load_config(files, LoadOptions(check_sources=False)).config
    except DolmenError:
        # The files have changed since the build.
        return None


def _find_place(config: Config, keys: tuple[str, ...]) -> Place | None:
    section, *rest = keys
    if section in ("onboot", "onshutdown", "services"):
        containers = getattr(config, section)
        return next(
            (c.positions.lookup("name").place for c in containers if c.name == rest[0]), None
        )
    if section == "kernel" and config.kernel is not None:
        return config.kernel.positions.place_of(*rest)
    return config.positions.place_of(*keys)
