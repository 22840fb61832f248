"""The check by JSON Schema: all mistakes at once, each with a message and a hint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from assembler.codes import config as codes
from assembler.config.compose_keys import COMPOSE_KEYS
from assembler.config.diagnostics import MAX_DIAGNOSTICS, error
from assembler.config.fast_validation import conforms
from assembler.config.messages import (
    SYNONYMS,
    correction,
    describe_value,
    example_hint,
    expected_type,
    form_hint,
    format_path,
    sections_with_key,
    shorten,
    source_text,
    value_name,
)
from assembler.config.schemas import load_schema, resolve_reference
from assembler.spelling import did_you_mean, nearest_words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from assembler.config.positions import Positions
    from assembler.diagnostics import Diagnostic, Place

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class CheckedData:
    """The valid part of the data, its positions, the diagnostics, and the removed paths."""

    data: Any
    positions: Positions
    diagnostics: tuple[Diagnostic, ...]
    removed: frozenset[_Path]

    def may_lack(self, key: str, *sections: str) -> bool:
        """Tell whether a mistake may have removed a key of the sections or of their entries.

        An unknown top-level key may be a misspelled section.
        """
        return any(_affects(path, key, sections) for path in self.removed)


def check_schema(
    kind: str,
    data: Any,  # noqa: ANN401 - plain data
    positions: Positions,
    definition: str = "",
) -> CheckedData:
    """Check data against a schema or one of its definitions, and remove invalid values."""
    diagnostics: list[Diagnostic] = []
    invalid: set[_Path] = set()
    for path in _paths_with_nul(data, ()):
        place = positions.lookup(*path).place
        message = "a text here cannot contain the character U+0000"
        diagnostics.append(error(codes.BAD_FORMAT, message, place))
        invalid.add(path)
    for mistake in _validation_errors(kind, definition, data):
        path = tuple(mistake.absolute_path)
        for diagnostic, invalid_path in _explain(kind, mistake, path, positions):
            if invalid_path not in invalid:
                diagnostics.append(diagnostic)
                invalid.add(invalid_path)
        if len(diagnostics) > MAX_DIAGNOSTICS:
            # Too many mistakes are left in the data for any later check.
            return CheckedData(None, positions, tuple(diagnostics), frozenset({()}))
    valid, valid_positions = (
        _without(data, positions, (), invalid) if invalid else (data, positions)
    )
    return CheckedData(valid, valid_positions, tuple(diagnostics), frozenset(invalid))


def _affects(path: _Path, key: str, sections: tuple[str, ...]) -> bool:
    known = load_schema("image")["properties"]
    if not path or path[0] not in known:
        return True
    if path[0] not in sections:
        return False
    piece, rest = resolve_reference("image", known[path[0]]), path[1:]
    if piece["type"] == "array":
        piece, rest = resolve_reference("image", piece["items"]), path[2:]
    return not rest or (len(rest) == 1 and (rest[0] == key or rest[0] not in piece["properties"]))


def _validation_errors(
    kind: str,
    definition: str,
    data: Any,  # noqa: ANN401 - plain data
) -> Iterator[ValidationError]:
    whole = load_schema(kind)
    if not conforms(data, whole["$defs"][definition] if definition else whole, whole):
        yield from _validator(kind, definition).iter_errors(data)


@cache
def _validator(kind: str, definition: str) -> Any:  # noqa: ANN401 - a class made by jsonschema
    # Valid files do not need it, and importing it takes longer than reading them.
    from jsonschema.validators import Draft202012Validator, extend  # noqa: PLC0415

    # jsonschema accepts 1.0 as an integer; YAML libraries do not.
    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    top = load_schema(kind)
    if definition:
        top = {"$defs": top["$defs"], "$ref": f"#/$defs/{definition}"}
    return strict(top)


def _paths_with_nul(data: Any, path: _Path) -> Iterator[_Path]:  # noqa: ANN401 - plain data
    if isinstance(data, dict):
        for key, value in data.items():
            if "\0" in key:
                yield (*path, key)
            elif key != "contents":
                yield from _paths_with_nul(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _paths_with_nul(value, (*path, index))
    elif isinstance(data, str) and "\0" in data:
        yield path


def _explain(
    kind: str, mistake: ValidationError, path: _Path, positions: Positions
) -> Iterator[tuple[Diagnostic, _Path]]:
    """Yield the diagnostics of a validation error, each with the path of the invalid value."""
    piece: dict[str, Any] = mistake.schema if isinstance(mistake.schema, dict) else {}
    own = positions.lookup(*path)
    keyword, value = mistake.validator, cast("Any", mistake.instance)
    if keyword == "additionalProperties":
        for key in value:
            if key not in piece.get("properties", {}):
                place = own.lookup(key).key or own.place
                yield _unknown_key(kind, piece, key, path, place), (*path, key)
    elif keyword == "required":
        for key in piece["required"]:
            if key not in value:
                yield _missing_key(kind, piece, key, path, own), (*path, key)
    elif keyword == "type":
        yield _wrong_type(kind, piece, value, path, own), path
    elif keyword == "enum":
        known = [str(v) for v in piece["enum"]]
        message = f"{value_name(path)} cannot be {shorten(str(value))!r}"
        hint = did_you_mean(str(value), known)
        listed = f"possible values: {', '.join(known)}"
        yield error(codes.UNKNOWN_VALUE, message, own.place, hint, listed), path
    elif keyword in ("minimum", "maximum"):
        message = f"{value_name(path)} is out of range: {describe_value(value)}"
        hint = f"the range is {piece.get('minimum', 0)} to {piece['maximum']}"
        yield error(codes.OUT_OF_RANGE, message, own.place, hint), path
    elif keyword == "pattern":
        message = f"{shorten(value)!r} is not a valid value of {value_name(path)}"
        yield error(codes.BAD_FORMAT, message, own.place, form_hint(piece)), path
    else:  # pragma: no cover - a keyword that the schemas do not use yet
        yield error(codes.BAD_FORMAT, mistake.message, own.place), path


def _unknown_key(
    kind: str, piece: dict[str, Any], key: str, path: _Path, place: Place | None
) -> Diagnostic:
    known = piece.get("properties", {})
    section = format_path(path)
    message = f"unknown key {shorten(key)!r}" + (f" in {section}" if section else "")
    synonym = SYNONYMS.get(key.lower())
    nearest = nearest_words(key, known, 1)
    other_sections = sections_with_key(kind, key)
    if "binds" in known and key.lower() in COMPOSE_KEYS:
        hint = COMPOSE_KEYS[key.lower()]
    elif nearest:
        hint = f"did you mean `{nearest[0]}`?"
    elif synonym in known:
        hint = f"the nearest key here is `{synonym}`"
    elif other_sections:
        hint = f"`{key}` is a key of {' and '.join(other_sections[:3])}"
    elif len(known) <= 12:
        hint = f"known keys: {', '.join(known)}"
    else:
        hint = f"`dolmen schema {kind}` and docs/reference-yaml.md list the keys"
    return error(codes.UNKNOWN_KEY, message, place, hint)


def _missing_key(
    kind: str, piece: dict[str, Any], key: str, path: _Path, own: Positions
) -> Diagnostic:
    section = format_path(path)
    schema = resolve_reference(kind, piece["properties"][key])
    message = f"`{key}` is missing" + (f" in {section}" if section else "")
    return error(
        codes.MISSING_KEY, message, own.place, schema["description"], example_hint(key, schema)
    )


def _wrong_type(
    kind: str, piece: dict[str, Any], value: object, path: _Path, own: Positions
) -> Diagnostic:
    expected = expected_type(kind, piece)
    if not path:
        expected = expected.removesuffix(" or nothing")
        message = f"the file must be {expected}, not {describe_value(value)}"
        return error(codes.WRONG_TYPE, message, own.place, "such as `init: […]`, `services: […]`")
    actual = f"the number {source_text(own)}" if _is_number(value) else describe_value(value)
    message = f"{value_name(path)} must be {expected}, not {actual}"
    place = own.place
    if value is None and own.key is not None:
        message = f"{value_name(path)} has no value; it must be {expected}"
        place = own.key
    return error(codes.WRONG_TYPE, message, place, correction(piece, value, path, own))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _without(
    data: Any,  # noqa: ANN401 - plain data
    positions: Positions,
    path: _Path,
    invalid: set[_Path],
) -> tuple[Any, Positions]:
    """Copy the data and its positions without invalid values.

    The position of a key with an invalid value stays: it tells later checks that the key was
    present.
    """
    if path in invalid:
        return None, positions
    if isinstance(data, dict):
        members = {
            k: _without(v, positions.lookup(k), (*path, k), invalid)
            for k, v in data.items()
            if (*path, k) not in invalid
        }
        children = {**positions.children, **{k: p for k, (_, p) in members.items()}}
        return {k: v for k, (v, _) in members.items()}, replace(positions, children=children)
    if isinstance(data, list):
        entries = [
            _without(v, positions.lookup(i), (*path, i), invalid)
            for i, v in enumerate(data)
            if (*path, i) not in invalid
        ]
        numbered: dict[str | int, Positions] = {i: p for i, (_, p) in enumerate(entries)}
        return [v for v, _ in entries], replace(positions, children=numbered)
    return data, positions
