"""`dolmen config`: show the settings with their origins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from dolmen.lazy import command_app
from dolmen.output import print_json, print_line

if TYPE_CHECKING:
    from dolmen.config_values import Value
    from dolmen.setting_values import SettingValue

app = command_app()


def _complete_keys() -> list[str]:
    from dolmen.setting_table import BY_KEY

    return list(BY_KEY)


@app.command()
def config(
    key: Annotated[
        str,
        typer.Argument(
            metavar="[KEY]",
            help="Print only the value of this setting.",
            show_default=False,
            autocompletion=_complete_keys,
        ),
    ] = "",
    path: Annotated[
        bool, typer.Option("--path", help="Print the path of the configuration file.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object.")] = False,
) -> None:
    """Show the settings: their values, and where these come from.

    \b
    dolmen config
    dolmen config debian.mirror
    dolmen config --json | jq '.settings[] | select(.origin != "default")'

    A setting is taken from an option, else from an environment variable, else from the
    configuration file, else it has its default. The file is ~/.config/dolmen/config.toml, in
    $XDG_CONFIG_HOME if that is set; DOLMEN_CONFIG names another one. It may be missing:

    \b
    cache = "/srv/dolmen"
    debian.mirror = "https://mirror.example.com/debian"
    [registries]
    mirrors = ["docker.io=https://mirror.example.com"]
    """
    from dolmen.config_file import config_path
    from dolmen.setting_values import all_settings

    if path:
        print_line(str(config_path(os.environ)))
        return
    found = list(all_settings())
    if key:
        chosen = _choose(key, found)
        if as_json:
            print_json(_as_json(chosen))
        else:
            for line in _lines(chosen.value):
                print_line(line)
    elif as_json:
        file = config_path(os.environ)
        print_json({"path": str(file), "settings": [_as_json(f) for f in found]})
    else:
        _show(found)


def _choose(key: str, found: list[SettingValue]) -> SettingValue:
    from assembler.codes import usage
    from assembler.errors import UsageError
    from assembler.spelling import did_you_mean

    by_key = {f.setting.key: f for f in found}
    if key not in by_key:
        hint = did_you_mean(key, by_key) or "`dolmen config` lists all keys"
        raise UsageError.of(usage.BAD_OPTION, f"there is no setting {key}", hint)
    return by_key[key]


def _show(found: list[SettingValue]) -> None:
    widest = max(len(f.setting.key) for f in found)
    for f in found:
        values = " ".join(_lines(f.value)) or "-"
        origin = f"  ({f.origin})" if f.origin != "default" else ""
        print_line(f"{f.setting.key:{widest}}  {values}{origin}")


def _lines(value: Value | None) -> list[str]:
    if value is None:
        return []
    if isinstance(value, tuple):
        return list(value)
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _as_json(found: SettingValue) -> dict[str, object]:
    setting = found.setting
    return {
        "key": setting.key,
        "value": list(found.value) if isinstance(found.value, tuple) else found.value,
        "origin": found.origin,
        "option": setting.option,
        "variables": list(setting.variables),
        "type": str(setting.kind),
        "default": setting.default or None,
        "help": setting.summary,
    }
