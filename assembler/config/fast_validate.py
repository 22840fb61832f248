"""The quick check: tells that data conforms to a schema, without the library that finds mistakes.

Nearly every file that is read is right, and loading jsonschema takes longer than reading it. This
knows the few rules that our schemas use; what it does not know, or what does not pass, goes to
jsonschema, which has the last word and all the words.
"""

from __future__ import annotations

import re
from typing import Any

# What says nothing about the data.
_REMARKS = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "default", "x-form"}
)


def conforms(data: Any, piece: dict[str, Any], whole: dict[str, Any]) -> bool:  # noqa: ANN401
    """Tell whether data surely keeps to a piece of a whole schema."""
    for rule, wanted in piece.items():
        if rule in _REMARKS or rule in ("properties", "items"):
            continue
        if rule == "type":
            kinds = wanted if isinstance(wanted, list) else [wanted]
            fits = any(_is(data, kind) for kind in kinds)
        elif rule == "$ref":
            fits = conforms(data, _referred(whole, wanted), whole)
        elif rule == "required":
            fits = not isinstance(data, dict) or all(key in data for key in wanted)
        elif rule == "enum":
            fits = isinstance(data, str) and data in wanted
        elif rule == "pattern":
            fits = not isinstance(data, str) or re.search(wanted, data) is not None
        elif rule == "minimum":
            fits = not _is(data, "number") or data >= wanted
        elif rule == "maximum":
            fits = not _is(data, "number") or data <= wanted
        else:
            # Whether others are allowed is looked at together with those that are known.
            fits = rule == "additionalProperties"
        if not fits:
            return False
    if isinstance(data, dict):
        return _members_conform(data, piece, whole)
    if isinstance(data, list) and "items" in piece:
        return all(conforms(value, piece["items"], whole) for value in data)
    return True


def _members_conform(data: dict[str, Any], piece: dict[str, Any], whole: dict[str, Any]) -> bool:
    known = piece.get("properties", {})
    others = piece.get("additionalProperties", True)
    for key, value in data.items():
        inner = known.get(key, others)
        if inner is False or (inner is not True and not conforms(value, inner, whole)):
            return False
    return True


def _is(value: Any, kind: str) -> bool:  # noqa: ANN401
    """Tell whether a value is of a type of JSON Schema; 1.0 is no integer to a reader of YAML."""
    if kind == "string":
        return isinstance(value, str)
    if kind == "object":
        return isinstance(value, dict)
    if kind == "array":
        return isinstance(value, list)
    if kind == "null":
        return value is None
    if kind == "boolean":
        return isinstance(value, bool)
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return kind == "number" and isinstance(value, int | float) and not isinstance(value, bool)


def _referred(whole: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)
