"""The check by JSON Schema: every mistake at once, each in words and with what would be right."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from assembler.codes import config as codes
from assembler.config.fast_validate import conforms
from assembler.config.findings import MOST, error, meant, nearest
from assembler.config.messages import (
    SYNONYMS,
    example,
    flow,
    given,
    homes_of,
    path_text,
    shortened,
    wanted,
)
from assembler.config.schemas import resolved, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from assembler.config.position import Positions
    from assembler.diagnostics import Diagnostic, Place

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of the data without its mistakes, where that is written, and the mistakes."""

    data: Any
    at: Positions
    found: tuple[Diagnostic, ...]
    wrong: frozenset[_Path]

    def lost(self, key: str, *sections: str) -> bool:
        """Tell whether a key of the sections (or of their entries) may be lost to a mistake.

        A section under a name that is not known may be any.
        """
        return any(_hides(path, key, sections) for path in self.wrong)


def check(kind: str, data: Any, at: Positions, definition: str = "") -> Checked:  # noqa: ANN401
    """Check data by a schema (or by one of its definitions), and part it from its mistakes."""
    found: list[Diagnostic] = []
    wrong: set[_Path] = set()
    for path in _with_nul(data, ()):
        place = at.within(*path).place
        found.append(error(codes.BAD_FORM, "a text here cannot have the character U+0000", place))
        wrong.add(path)
    for mistake in _mistakes(kind, definition, data):
        path = tuple(mistake.absolute_path)
        for diagnostic, where in _explained(kind, mistake, path, at):
            if where not in wrong:
                found.append(diagnostic)
                wrong.add(where)
        if len(found) > MOST:
            # What is left cannot be relied on.
            return Checked(None, at, tuple(found), frozenset({()}))
    kept, left = _without(data, at, (), wrong) if wrong else (data, at)
    return Checked(kept, left, tuple(found), frozenset(wrong))


def _hides(path: _Path, key: str, sections: tuple[str, ...]) -> bool:
    known = schema("image")["properties"]
    if not path or path[0] not in known:
        return True
    if path[0] not in sections:
        return False
    piece, rest = resolved("image", known[path[0]]), path[1:]
    if piece["type"] == "array":
        piece, rest = resolved("image", piece["items"]), path[2:]
    return not rest or (len(rest) == 1 and (rest[0] == key or rest[0] not in piece["properties"]))


def _mistakes(kind: str, definition: str, data: Any) -> Iterator[ValidationError]:  # noqa: ANN401
    whole = schema(kind)
    if not conforms(data, whole["$defs"][definition] if definition else whole, whole):
        yield from _validator(kind, definition).iter_errors(data)


@cache
def _validator(kind: str, definition: str) -> Any:  # noqa: ANN401 - a class made by jsonschema
    # Not imported for files without a mistake: it takes longer than reading them.
    from jsonschema.validators import Draft202012Validator, extend  # noqa: PLC0415

    # jsonschema takes 1.0 for an integer; a reader of YAML does not.
    whole = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    strict = extend(Draft202012Validator, type_checker=whole)  # type: ignore[no-untyped-call]
    top = schema(kind)
    if definition:
        top = {"$defs": top["$defs"], "$ref": f"#/$defs/{definition}"}
    return strict(top)


def _with_nul(data: Any, path: _Path) -> Iterator[_Path]:  # noqa: ANN401
    if isinstance(data, dict):
        for key, value in data.items():
            if "\0" in key:
                yield (*path, key)
            elif key != "contents":
                yield from _with_nul(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _with_nul(value, (*path, index))
    elif isinstance(data, str) and "\0" in data:
        yield path


def _explained(
    kind: str, mistake: ValidationError, path: _Path, at: Positions
) -> Iterator[tuple[Diagnostic, _Path]]:
    piece: dict[str, Any] = mistake.schema if isinstance(mistake.schema, dict) else {}
    here = at.within(*path)
    rule, instance = mistake.validator, cast("Any", mistake.instance)
    if rule == "additionalProperties":
        for key in instance:
            if key not in piece.get("properties", {}):
                place = here.within(key).key or here.place
                yield _unknown_key(kind, piece, key, path, place), (*path, key)
    elif rule == "required":
        for key in piece["required"]:
            if key not in instance:
                yield _missing_key(kind, piece, key, path, here), (*path, key)
    elif rule == "type":
        yield _wrong_type(kind, piece, instance, path, here), path
    elif rule == "enum":
        value, known = instance, [str(v) for v in piece["enum"]]
        message = f"{_name(path)} cannot be {shortened(str(value))!r}"
        hint = meant(str(value), known)
        listed = f"it is one of: {', '.join(known)}"
        yield error(codes.UNKNOWN_VALUE, message, here.place, hint, listed), path
    elif rule in ("minimum", "maximum"):
        message = f"{_name(path)} is out of range: {given(instance)}"
        hint = f"it goes from {piece.get('minimum', 0)} to {piece['maximum']}"
        yield error(codes.OUT_OF_RANGE, message, here.place, hint), path
    elif rule == "pattern":
        message = f"{shortened(instance)!r} cannot stand in {_name(path)}"
        form = piece.get("x-form", piece.get("pattern"))
        yield error(codes.BAD_FORM, message, here.place, f"it is made of: {form}"), path
    else:  # pragma: no cover - a rule that the schemas do not use yet
        yield error(codes.BAD_FORM, mistake.message, here.place), path


def _unknown_key(
    kind: str, piece: dict[str, Any], key: str, path: _Path, place: Place | None
) -> Diagnostic:
    known = piece.get("properties", {})
    where = path_text(path)
    message = f"unknown key {shortened(key)!r}" + (f" in {where}" if where else "")
    synonym = SYNONYMS.get(key.lower())
    close = nearest(key, known)
    homes = homes_of(kind, key)
    if close:
        hint = f"did you mean `{close}`?"
    elif synonym in known:
        hint = f"what comes nearest to it here is `{synonym}`"
    elif homes:
        hint = f"`{key}` is a key of {' and '.join(homes[:3])}"
    elif len(known) <= 12:
        hint = f"known here: {', '.join(known)}"
    else:
        hint = f"`dolmen schema {kind}` and docs/reference-yaml.md list the keys"
    return error(codes.UNKNOWN_KEY, message, place, hint)


def _missing_key(
    kind: str, piece: dict[str, Any], key: str, path: _Path, here: Positions
) -> Diagnostic:
    where = path_text(path)
    inner = resolved(kind, piece["properties"][key])
    message = f"`{key}` is missing" + (f" in {where}" if where else "")
    place = here.place
    return error(codes.MISSING_KEY, message, place, inner["description"], example(key, inner))


def _wrong_type(
    kind: str, piece: dict[str, Any], value: object, path: _Path, here: Positions
) -> Diagnostic:
    want = wanted(kind, piece)
    if not path:
        message = f"the file must be {want.removesuffix(' or nothing')}, not {given(value)}"
        return error(codes.WRONG_TYPE, message, here.place, "as `init: […]`, `services: […]`")
    what = f"the number {_written(here)}" if _is_number(value) else given(value)
    message = f"{_name(path)} must be {want}, not {what}"
    place = here.place
    if value is None and here.key is not None:
        message = f"{_name(path)} has no value; it must be {want}"
        place = here.key
    return error(codes.WRONG_TYPE, message, place, _remedy(piece, value, path, here))


def _remedy(piece: dict[str, Any], value: object, path: _Path, here: Positions) -> str:
    """Show how the very value is written rightly, or else the example of the schema."""
    key = path[-1] if isinstance(path[-1], str) else None
    lead = f"{key}: " if key else "- "
    types = piece.get("type", [])
    if types == "array":
        if value is None:
            return f"leave the key out, or write {lead}[]"
        text_list = isinstance(piece.get("items"), dict) and piece["items"].get("type") == "string"
        if isinstance(value, str | int | float) and text_list:
            parts = value.split() if key == "command" and isinstance(value, str) else [value]
            return f"write {lead}{flow([str(p) for p in parts])}"
        if isinstance(value, dict) and text_list and key in ("env", "rlimits"):
            return f"write {lead}{flow([f'{k}={v}' for k, v in value.items()][:3])}"
    elif "string" in types and isinstance(value, bool | int | float) and here.place is not None:
        written = _written(here)
        if not re.search(piece.get("pattern", ""), written):
            return f"it is made of: {piece.get('x-form', piece['pattern'])}"
        return f'put it in quotes: {lead}"{written}"'
    elif types == "boolean" and str(value).lower() in ("true", "yes", "on", "y"):
        return f"write {lead}true"
    elif types == "boolean" and str(value).lower() in ("false", "no", "off", "n"):
        return f"write {lead}false"
    elif types == "integer" and isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return f"write {lead}{value.strip()}, without quotes"
    return example(key, piece)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _written(here: Positions) -> str:
    """Return a value as it stands in the file: 0644, where the number is 420."""
    place = here.place
    if place is None:
        return ""
    return shortened(place.source.line(place.line)[place.column - 1 :][: place.length].strip())


def _name(path: _Path) -> str:
    """Return what a value is called: by its key, or as an entry of its list."""
    last = path[-1]
    if isinstance(last, int):
        return f"an entry of `{path[-2]}`" if len(path) > 1 else "an entry"
    return f"`{last}`"


def _without(
    data: Any,  # noqa: ANN401
    at: Positions,
    path: _Path,
    wrong: set[_Path],
) -> tuple[Any, Positions]:
    """Copy the data without what is wrong in it, and the places to where it is in the copy.

    The place of a key whose value was wrong stays: by it the later checks know that it was given.
    """
    if path in wrong:
        return None, at
    if isinstance(data, dict):
        inner = {
            k: _without(v, at.within(k), (*path, k), wrong)
            for k, v in data.items()
            if (*path, k) not in wrong
        }
        places = {**at.children, **{k: p for k, (_, p) in inner.items()}}
        return {k: v for k, (v, _) in inner.items()}, replace(at, children=places)
    if isinstance(data, list):
        entries = [
            _without(v, at.within(i), (*path, i), wrong)
            for i, v in enumerate(data)
            if (*path, i) not in wrong
        ]
        numbered: dict[str | int, Positions] = {i: p for i, (_, p) in enumerate(entries)}
        return [v for v, _ in entries], replace(at, children=numbered)
    return data, at
