"""From checked data to the frozen model, by the model's own type hints."""

from __future__ import annotations

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from assembler.config.resources import as_runtime_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from assembler.config.position import Positions

_T = TypeVar("_T")
# Fields that are not keys of the YAML.
_OWN = ("at", "found")


@cache
def yaml_fields(kind: Any) -> tuple[tuple[str, Field[Any]], ...]:  # noqa: ANN401 - a dataclass
    """Return the fields of a part of the model with the keys that stand for them."""
    found = [(f.metadata.get("yaml", f.name), f) for f in fields(kind) if f.name not in _OWN]
    # A container's name and image come first, wherever inheritance has put them.
    return tuple(sorted(found, key=lambda pair: pair[0] not in ("name", "image")))


@cache
def _part_of(kind: Any) -> Mapping[str, type | None]:  # noqa: ANN401
    """Return which part of the model is in a field: itself, or as entries of a tuple."""
    hints = get_type_hints(kind)
    return {name: _part(hint) for name, hint in hints.items()}


def _part(hint: Any) -> type | None:  # noqa: ANN401 - any annotation
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return next((p for p in map(_part, get_args(hint)) if p), None)
    return None


def convert(kind: Callable[..., _T], data: Mapping[str, Any], at: Positions) -> _T:
    """Make a part of the model of data that its schema accepts.

    A mandatory text that is missing (which has been told already) is empty.
    """
    parts = _part_of(kind)
    made: dict[str, Any] = {"at": at}
    for key, field in yaml_fields(kind):
        if key in data:
            inner = at.children.get(key, at)
            made[field.name] = _value(parts[field.name], data[key], inner)
        elif field.default is MISSING and field.default_factory is MISSING:
            made[field.name] = ""
    if made.get("resources") is not None:
        made["resources"] = as_runtime_spec(made["resources"])
    return kind(**made)


def _value(part: type | None, data: Any, at: Positions) -> Any:  # noqa: ANN401
    if isinstance(data, list):
        return tuple(
            entry if part is None else convert(part, entry, at.children[index])
            for index, entry in enumerate(data)
        )
    return data if part is None or data is None else convert(part, data, at)
