"""The syntax of the configuration file: TOML with the places of its keys and mistakes."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assembler.diagnostics import Place, SourceText
from assembler.errors import ConfigError, UsageError
from assembler.spelling import did_you_mean
from dolmen.config_values import FileValue, Value, config_mistake
from dolmen.quantities import parse_bytes
from dolmen.setting_table import BY_KEY, Kind, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.diagnostics import Diagnostic
    from assembler.errors import DolmenError

_MAX_SIZE = 1 << 20
_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_KEY = re.compile(rf"\s*({_PART}(?:\s*\.\s*{_PART})*)\s*=")
_HEADER = re.compile(rf"\s*\[\s*({_PART}(?:\s*\.\s*{_PART})*)\s*\]")
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


def parse_config(path: Path, data: bytes) -> Mapping[str, FileValue]:
    """Return the values of a configuration file, or raise an error with all mistakes."""
    if len(data) > _MAX_SIZE:
        raise config_mistake(f"the configuration file {path} has more than {_MAX_SIZE} bytes", None)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        source = SourceText(str(path), data.decode("utf-8", "replace"))
        raise config_mistake(
            "the configuration file is not UTF-8", Place(source, line, 1)
        ) from error
    source = SourceText(str(path), text)
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise config_mistake(*_syntax_mistake(source, str(error))) from error
    values: dict[str, FileValue] = {}
    problems: list[Diagnostic] = []
    for key, value in _leaves(document):
        place = _place_of(source, key)
        name = ".".join(key)
        setting = BY_KEY.get(name)
        if setting is None:
            problems += _unknown_key(name, place).diagnostics
            continue
        try:
            values[name] = FileValue(_checked(setting, value, path.parent), place.line)
        except ValueError as error:
            problems += config_mistake(
                f"{name} must be {error}", place, setting.summary
            ).diagnostics
    if problems:
        raise ConfigError(problems)
    return values


def _syntax_mistake(source: SourceText, message: str) -> tuple[str, Place]:
    """Return the message of the parser without its place, and the place."""
    lines = source.text.rstrip("\n").split("\n")
    line, column = len(lines), len(lines[-1]) + 1
    found = _SYNTAX_PLACE.search(message)
    if found and found[1]:
        line, column = int(found[1]), int(found[2])
    return f"not TOML: {_SYNTAX_PLACE.sub('', message)}", Place(source, line, column)


def _unknown_key(name: str, place: Place) -> DolmenError:
    hint = did_you_mean(name, BY_KEY) or "`dolmen config` lists all keys"
    return config_mistake(f"there is no setting {name}", place, hint)


def _leaves(table: dict[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[Any, Any]]:
    for key, value in table.items():
        path = (*above, key)
        if isinstance(value, dict):
            yield from _leaves(value, path)
        else:
            yield path, value


def _place_of(source: SourceText, key: tuple[str, ...]) -> Place:
    """Return the place of a key; inside of an inline table, that of the table."""
    header: tuple[str, ...] = ()
    for number, line in enumerate(source.text.split("\n"), 1):
        if found := _HEADER.match(line):
            header = _parts(found[1])
        elif found := _KEY.match(line):
            whole = (*header, *_parts(found[1]))
            if whole == key[: len(whole)]:
                return Place(source, number, found.start(1) + 1, len(found[1]))
    return Place(source)


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, text))


def _checked(setting: Setting, value: object, directory: Path) -> Value:
    """Return a value of the setting's type; raise ValueError with what it must be."""
    kind = setting.kind
    if kind is Kind.SWITCH:
        if isinstance(value, bool):
            return value
    elif kind is Kind.NUMBER:
        least, greatest = setting.bounds
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= greatest:
            return value
        raise ValueError(f"{kind} from {least} to {greatest}")
    elif kind in (Kind.TEXTS, Kind.PATHS):
        items = value if isinstance(value, list) else [value]
        texts = tuple(item for item in items if isinstance(item, str) and item)
        if len(texts) == len(items):
            is_path = kind is Kind.PATHS
            return tuple(_absolute(t, directory) for t in texts) if is_path else texts
    elif isinstance(value, str) and value:
        if setting.choices and value not in setting.choices:
            raise ValueError(f"one of {', '.join(setting.choices)}")
        if kind is Kind.SIZE and not _is_size(value):
            raise ValueError(kind)
        return _absolute(value, directory) if kind is Kind.PATH else value
    raise ValueError(kind)


def _is_size(text: str) -> bool:
    try:
        parse_bytes(text, "")
    except UsageError:
        return False
    return True


def _absolute(text: str, directory: Path) -> str:
    """Return a path of the file, which is relative to the directory of the file."""
    return str(directory.absolute() / Path(text).expanduser())
