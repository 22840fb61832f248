"""The configuration file: its path, and its values with their lines."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dolmen.config_values import FileValue, config_mistake

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.errors import DolmenError


def config_path(env: Mapping[str, str]) -> Path:
    """Return the path of the configuration file, whether it exists or not."""
    if env.get("DOLMEN_CONFIG"):
        return Path(env["DOLMEN_CONFIG"]).expanduser()
    base = env.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "dolmen" / "config.toml"


def file_values(env: Mapping[str, str]) -> Mapping[str, FileValue]:
    """Return the values of the configuration file by their keys; they are read once."""
    return _read(config_path(env), is_named=bool(env.get("DOLMEN_CONFIG")))


@cache
def _read(path: Path, *, is_named: bool) -> Mapping[str, FileValue]:
    try:
        status = path.stat()
    except FileNotFoundError as error:
        if is_named:
            raise _unreadable(path, error) from error
        return {}
    except OSError as error:
        raise _unreadable(path, error) from error
    if is_named and path == Path(os.devnull):
        return {}
    if not is_named:
        _check_owner(path, status)
    from assembler.data_files import read_data_stream  # noqa: PLC0415 - few have the file
    from dolmen.config_syntax import parse_config  # noqa: PLC0415 - as above

    try:
        data = read_data_stream(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_config(path, data)


def _unreadable(path: Path, error: OSError) -> DolmenError:
    from assembler.codes import host  # noqa: PLC0415
    from assembler.errors import ConfigError  # noqa: PLC0415

    reason = error.strerror or str(error)
    hint = "DOLMEN_CONFIG names another configuration file; DOLMEN_CONFIG=/dev/null names none"
    return ConfigError.of(
        host.NOT_READABLE, f"cannot read the configuration file {path}: {reason}", hint
    )


def _check_owner(path: Path, status: os.stat_result) -> None:
    """Refuse a file that another user could have written: it names keyrings and builders."""
    others = stat.S_IWOTH & status.st_mode
    if status.st_uid in (os.geteuid(), 0) and not others:
        return
    why = "everyone may write to it" if others else f"it belongs to the user {status.st_uid}"
    raise config_mistake(
        f"the configuration file {path} is not used: {why}",
        None,
        "make it yours (chown, chmod go-w), or name it with DOLMEN_CONFIG",
    )
