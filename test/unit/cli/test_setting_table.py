"""The table of settings is complete, and every setting can be set wherever it says."""

from __future__ import annotations

import ast
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
import typer

from conftest import REPOSITORY
from dolmen import config_file, setting_values
from dolmen.app import app
from dolmen.setting_table import SECRETS, SETTINGS, Kind, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What is neither a default of the user's nor a secret.
NOT_SETTINGS = {
    # The configuration file itself.
    "DOLMEN_CONFIG",
    # The protocol of completion scripts.
    "_DOLMEN_COMPLETE",
    # A variable of a shell script that Dolmen starts.
    "DOLMEN_DEVICES",
}
NAME = re.compile(r"\b_?(?:DOLMEN|LINUXKIT)_[A-Z_]+\b")
VALUES: dict[Kind, Any] = {
    Kind.PATH: "/x/y",
    Kind.PATHS: ("/x/y", "/z"),
    Kind.TEXTS: ("a=b", "c"),
    Kind.SIZE: "3GiB",
    Kind.SWITCH: True,
    Kind.TEXT: "a",
}


def texts_of_code() -> Iterator[tuple[Path, str]]:
    for folder in ("assembler", "cmd"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield path, node.value


def options_of(command: Any) -> Iterator[Any]:
    with command.make_context("dolmen", [], resilient_parsing=True) as context:
        yield from command.get_params(context)
        for child in getattr(command, "commands", {}):
            yield from options_of(command.resolve_command(context, [child])[1])


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [*os.environ]:
        if NAME.fullmatch(name):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def test_every_variable_of_the_code_is_in_the_table() -> None:
    known = {name for setting in SETTINGS for name in setting.variables}
    found = {name for _, text in texts_of_code() for name in NAME.findall(text)}

    assert found - known - {*SECRETS} - NOT_SETTINGS == set()
    # Only the table joins a prefix and a name.
    joined = {path.name for path, text in texts_of_code() if text in ("DOLMEN_", "LINUXKIT_")}
    assert joined == {"setting_table.py"}


def test_options_name_the_variables_of_their_settings() -> None:
    helps: dict[str, list[str]] = {}
    for option in options_of(typer.main.get_command(app)):
        for name in option.opts:
            helps.setdefault(name, []).append(getattr(option, "help", "") or "")

    for setting in SETTINGS:
        assert setting.option in helps
        for variable in setting.variables[:1]:
            assert any(variable in text for text in helps[setting.option]), setting.key


def a_value(setting: Setting) -> Any:
    if setting.choices:
        return setting.choices[-1]
    return setting.bounds[1] if setting.kind is Kind.NUMBER else VALUES[setting.kind]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.key)
def test_a_setting_of_the_file(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = a_value(setting)
    shown = list(value) if isinstance(value, tuple) else value
    text = str(shown).lower() if isinstance(shown, bool) else repr(shown)
    file = tmp_path / "own.toml"
    file.write_text(f"# mine\n{setting.key} = {text}\n")
    monkeypatch.setenv("DOLMEN_CONFIG", str(file))

    assert setting_values.value_of(setting.key) == value
    assert setting_values.origin_of(setting.key) == f"{file}:2"


@pytest.mark.parametrize(
    ("setting", "variable"),
    [pytest.param(s, v, id=v) for s in SETTINGS for v in s.variables],
)
def test_a_variable_precedes_the_file(
    setting: Setting, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = a_value(setting)
    file = tmp_path / "own.toml"
    file.write_text(f'{setting.key} = "{setting.choices[0] if setting.choices else "9k"}"\n')
    monkeypatch.setenv("DOLMEN_CONFIG", str(file))
    monkeypatch.setenv(variable, ",".join(value) if isinstance(value, tuple) else value)

    assert setting_values.value_of(setting.key) == value
    assert setting_values.origin_of(setting.key) == variable


def test_no_file_has_no_values(tmp_path: Path) -> None:
    assert config_file.file_values({"XDG_CONFIG_HOME": str(tmp_path)}) == {}
