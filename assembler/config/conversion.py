"""The conversion of checked data into the frozen model, driven by the model's type hints."""

from __future__ import annotations

import types
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

from assembler.config.model import ExposedPort, Verified
from assembler.config.positions import Positions
from assembler.config.runtime_resources import to_runtime_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_T = TypeVar("_T")
# Fields of the model that are not keys of the YAML.
_NOT_IN_YAML = (
    *("positions", "source_path", "source_candidates", "source_url", "source_content"),
    *("seccomp_profile", "seccomp_candidates", "enabled"),
)


@cache
def yaml_fields(kind: Any) -> tuple[tuple[str, Field[Any]], ...]:  # noqa: ANN401 - a dataclass
    """Return the YAML keys of a class of the model, each with its field."""
    pairs = [
        (f.metadata.get("yaml", f.name), f) for f in fields(kind) if f.name not in _NOT_IN_YAML
    ]
    # A container's name and image come first; with inheritance they are the last fields.
    return tuple(sorted(pairs, key=lambda pair: pair[0] not in ("name", "image")))


@cache
def _nested_classes(kind: Any) -> Mapping[str, type | None]:  # noqa: ANN401
    """Return for each field the class of the model it holds, directly or in a tuple."""
    hints = get_type_hints(kind)
    return {name: _nested_class(hint) for name, hint in hints.items()}


def _nested_class(hint: Any) -> type | None:  # noqa: ANN401 - any annotation
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return next((p for p in map(_nested_class, get_args(hint)) if p), None)
    return None


def convert_to_model(kind: Callable[..., _T], data: Mapping[str, Any], positions: Positions) -> _T:
    """Convert data that its schema accepts into a class of the model.

    A missing mandatory text, which the schema check has reported, becomes empty.
    """
    nested = _nested_classes(kind)
    values: dict[str, Any] = {"positions": positions}
    for key, field in yaml_fields(kind):
        if key in data:
            inner = positions.children.get(key, positions)
            values[field.name] = _value(nested[field.name], data[key], inner)
        elif field.default is MISSING and field.default_factory is MISSING:
            values[field.name] = ""
    if values.get("resources") is not None:
        values["resources"] = to_runtime_spec(values["resources"])
    return kind(**values)


def _value(nested: type | None, data: Any, positions: Positions) -> Any:  # noqa: ANN401
    if isinstance(data, list):
        return tuple(
            entry if nested is None else _value(nested, entry, positions.children[index])
            for index, entry in enumerate(data)
        )
    if nested is ExposedPort and not isinstance(data, dict):
        # The short form: the port alone.
        return ExposedPort(data, positions=Positions(positions.place, children={"port": positions}))
    if nested is Verified and isinstance(data, bool):
        return Verified(enabled=data, positions=positions)
    return data if nested is None or data is None else convert_to_model(nested, data, positions)
