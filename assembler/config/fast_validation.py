"""A fast validation: accepts valid data without importing jsonschema.

Most files are valid, and importing jsonschema takes longer than reading one. This module knows
the few keywords that our schemas use. Data that it does not accept, and schemas with other
keywords, are left to jsonschema, which decides and describes the mistakes.
"""

from __future__ import annotations

import re
from typing import Any

# Keywords that do not restrict the data.
_ANNOTATIONS = frozenset(
    (
        *("$schema", "$id", "$defs", "title", "description", "examples", "default"),
        *("x-form", "x-linuxkit"),
    )
)


def conforms(data: Any, piece: dict[str, Any], whole: dict[str, Any]) -> bool:  # noqa: ANN401
    """Tell whether data certainly conforms to `piece`, a part of the schema `whole`."""
    for keyword, argument in piece.items():
        if keyword in _ANNOTATIONS or keyword in ("properties", "items"):
            continue
        if keyword == "type":
            types = argument if isinstance(argument, list) else [argument]
            valid = any(has_type(data, name) for name in types)
        elif keyword == "$ref":
            valid = conforms(data, _resolve(whole, argument), whole)
        elif keyword == "required":
            valid = not isinstance(data, dict) or all(key in data for key in argument)
        elif keyword == "enum":
            valid = isinstance(data, str) and data in argument
        elif keyword == "pattern":
            valid = not isinstance(data, str) or re.search(argument, data) is not None
        elif keyword == "minimum":
            valid = not has_type(data, "number") or data >= argument
        elif keyword == "maximum":
            valid = not has_type(data, "number") or data <= argument
        else:
            # `additionalProperties` is checked together with `properties` below.
            valid = keyword == "additionalProperties"
        if not valid:
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


def has_type(value: Any, kind: str) -> bool:  # noqa: ANN401
    """Tell whether a value has a JSON Schema type; 1.0 is not an integer in YAML."""
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


def _resolve(whole: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = whole
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)
