"""Scalars of build.yml that have another type than the key, read as LinuxKit reads them.

LinuxKit decodes build.yml with Go's YAML library, which knows the wanted type: a number becomes
the text in the file, `yes` becomes a boolean, and a key without a value is absent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from assembler.codes import config as codes
from assembler.config.diagnostics import warning
from assembler.config.fast_validation import has_type
from assembler.config.messages import FALSE_WORDS, TRUE_WORDS, correction, value_name
from assembler.config.schemas import load_schema, resolve_reference

if TYPE_CHECKING:
    from assembler.config.positions import Positions
    from assembler.diagnostics import Diagnostic

_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class TypedData:
    """Data with the types of its schema where possible, and a warning for each change."""

    data: Any
    positions: Positions
    warnings: tuple[Diagnostic, ...]


def convert_scalars(kind: str, data: Any, positions: Positions) -> TypedData:  # noqa: ANN401
    """Convert the scalars that Go's YAML library would convert."""
    conversion = _Conversion(kind)
    converted, places = conversion.value(load_schema(kind), data, (), positions)
    return TypedData(converted, places, tuple(conversion.warnings))


@dataclass(slots=True)
class _Conversion:
    """Converts values along their schema, and collects the warnings."""

    kind: str
    warnings: list[Diagnostic] = field(default_factory=list)

    def value(
        self,
        piece: dict[str, Any],
        data: Any,  # noqa: ANN401 - plain data
        path: _Path,
        own: Positions,
    ) -> tuple[Any, Positions]:
        piece = resolve_reference(self.kind, piece)
        types = piece.get("type", [])
        types = [types] if isinstance(types, str) else types
        if isinstance(data, dict):
            return self._mapping(piece, data, path, own)
        if isinstance(data, list):
            return self._list(piece, data, path, own)
        if any(has_type(data, name) for name in types):
            return data, own
        if "string" in types and own.written is not None and data is not None:
            read = f"{own.written} is read as the text {own.written!r}"
            self._warn(f"{value_name(path)} should be text; {read}", piece, data, path, own)
            return own.written, own
        if types == ["boolean"] and isinstance(data, str):
            word = data.lower()
            if word in TRUE_WORDS or word in FALSE_WORDS:
                truth = word in TRUE_WORDS
                read = f"{data} is read as {str(truth).lower()}"
                message = f"{value_name(path)} should be true or false; {read}"
                self._warn(message, piece, data, path, own)
                return truth, own
        return data, own

    def _mapping(
        self, piece: dict[str, Any], data: dict[str, Any], path: _Path, own: Positions
    ) -> tuple[Any, Positions]:
        known = piece.get("properties", {})
        others = piece.get("additionalProperties")
        converted = {}
        children = dict(own.children)
        for key, value in data.items():
            inner = known.get(key, others)
            converted[key] = value
            if not isinstance(inner, dict):
                continue
            place = own.lookup(key)
            if value is None and key not in piece.get("required", ()):
                if "null" not in resolve_reference(self.kind, inner).get("type", ()):
                    del converted[key]
                    self.warnings.append(
                        warning(
                            codes.WRONG_TYPE,
                            f"`{key}` has no value, and is ignored",
                            place.key or place.place,
                            "remove the key, or add a value",
                        )
                    )
                continue
            converted[key], children[key] = self.value(inner, value, (*path, key), place)
        return converted, replace(own, children=children)

    def _list(
        self, piece: dict[str, Any], data: list[Any], path: _Path, own: Positions
    ) -> tuple[Any, Positions]:
        inner = piece.get("items")
        if not isinstance(inner, dict):
            return data, own
        entries = []
        for index, value in enumerate(data):
            place = own.lookup(index)
            if value is None:
                message = f"{value_name((*path, index))} has no value, and is ignored"
                self.warnings.append(
                    warning(codes.WRONG_TYPE, message, place.place, "remove it, or add a value")
                )
                continue
            entries.append(self.value(inner, value, (*path, index), place))
        children: dict[str | int, Positions] = {i: p for i, (_, p) in enumerate(entries)}
        return [v for v, _ in entries], replace(own, children=children)

    def _warn(
        self,
        message: str,
        piece: dict[str, Any],
        data: object,
        path: _Path,
        own: Positions,
    ) -> None:
        hint = correction(piece, data, path, own)
        self.warnings.append(warning(codes.WRONG_TYPE, message, own.place, hint))
