"""The values of settings: from environment variables, else from the configuration file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dolmen.config_file import config_path, file_values
from dolmen.setting_table import BY_KEY, SETTINGS, Kind, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dolmen.config_values import Value


class SettingValue(NamedTuple):
    """The value of a setting without options, and its origin; None if nothing sets it."""

    setting: Setting
    value: Value | None
    origin: str


def default_color() -> str:
    """Return when to use colors without options; NO_COLOR precedes the configuration file."""
    return "auto" if os.environ.get("NO_COLOR") else text_of("color")


def default_cache() -> Path:
    """Return the directory of the store without options."""
    if chosen := text_of("cache"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "dolmen"


def text_of(key: str) -> str:
    """Return the value of a setting as text, or an empty text."""
    value = value_of(key)
    return "" if value is None or isinstance(value, tuple) else str(value)


def texts_of(key: str) -> tuple[str, ...]:
    """Return the items of a setting that is a list."""
    value = value_of(key)
    return value if isinstance(value, tuple) else ()


def path_of(key: str) -> Path | None:
    """Return the value of a setting that is a path."""
    text = text_of(key)
    return Path(text).expanduser() if text else None


def number_of(key: str) -> int:
    """Return the value of a setting that is a number and has a default."""
    return int(text_of(key))


def value_of(key: str) -> Value | None:
    """Return the value of a setting: of the environment, else of the file, else the default."""
    return _find(BY_KEY[key]).value


def origin_of(key: str) -> str:
    """Return where the value of a setting comes from: a variable, FILE:LINE or `default`."""
    return _find(BY_KEY[key]).origin


def variable_texts(key: str) -> tuple[str, ...]:
    """Return the items of a list in an environment variable, without the configuration file."""
    found = _in_environment(BY_KEY[key])
    return found.value if found is not None and isinstance(found.value, tuple) else ()


def all_settings() -> Iterator[SettingValue]:
    """Yield all settings with their values; the default of the store depends on the host."""
    for setting in SETTINGS:
        found = _find(setting)
        if setting.key == "cache" and found.value is None:
            found = SettingValue(setting, str(default_cache()), found.origin)
        yield found


def _in_environment(setting: Setting) -> SettingValue | None:
    for name in setting.variables:
        if text := os.environ.get(name):
            return SettingValue(setting, _of_variable(setting, text), name)
    return None


def _find(setting: Setting) -> SettingValue:
    found = _in_environment(setting)
    if found is not None:
        return found
    in_file = file_values(os.environ).get(setting.key)
    if in_file is not None:
        origin = f"{config_path(os.environ)}:{in_file.line}"
        return SettingValue(setting, in_file.value, origin)
    return SettingValue(setting, _default(setting), "default")


def _of_variable(setting: Setting, text: str) -> Value:
    if setting.kind not in (Kind.TEXTS, Kind.PATHS):
        return text
    for separator in setting.separators:
        text = text.replace(separator, "\n")
    return tuple(item.strip() for item in text.split("\n") if item.strip())


def _default(setting: Setting) -> Value | None:
    if setting.kind is Kind.SWITCH:
        return setting.default == "true"
    if setting.kind is Kind.NUMBER:
        return int(setting.default)
    return setting.default or None
