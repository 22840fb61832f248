"""The JSON Schemas: their files, and each schema as a self-contained document."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

KINDS = ("image", "build")
_SHARED = "image.schema.json#/$defs/"


def schema_folder() -> Path:
    """Return the folder of the schemas, in a checkout or in an installed package."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_schema"
    return installed if installed.is_dir() else package.parent / "schema"


def schema_path(kind: str) -> Path:
    """Return the path of a schema."""
    return schema_folder() / f"{kind}.schema.json"


@cache
def load_schema(kind: str) -> dict[str, Any]:
    """Return a schema, with all definitions that it shares with image.schema.json copied in."""
    content: dict[str, Any] = json.loads(schema_path(kind).read_text("utf-8"))
    if kind == "image":
        return content
    shared = load_schema("image")["$defs"]
    needed: dict[str, Any] = {}
    whole = _localize(content, needed)
    pending = list(needed)
    while pending:
        name = pending.pop()
        seen = set(needed)
        needed[name] = _localize(_qualify(shared[name]), needed)
        pending += needed.keys() - seen
    return {**whole, "$defs": {**whole.get("$defs", {}), **needed}}


def _qualify(value: Any) -> Any:  # noqa: ANN401 - any piece of JSON
    """Return a piece of image.schema.json with references that name this file."""
    if isinstance(value, dict):
        return {
            k: v.replace("#/$defs/", _SHARED) if k == "$ref" else _qualify(v)
            for k, v in value.items()
        }
    return [_qualify(v) for v in value] if isinstance(value, list) else value


def _localize(value: Any, needed: dict[str, Any]) -> Any:  # noqa: ANN401
    """Make references to image.schema.json local, and add their definitions to `needed`."""
    if isinstance(value, list):
        return [_localize(v, needed) for v in value]
    if not isinstance(value, dict):
        return value
    localized = {}
    for key, inner in value.items():
        if key == "$ref" and inner.startswith(_SHARED):
            name = inner.removeprefix(_SHARED)
            needed.setdefault(name.split("/")[0], None)
            localized[key] = f"#/$defs/{name}"
        else:
            localized[key] = _localize(inner, needed)
    return localized


def resolve_reference(kind: str, piece: dict[str, Any]) -> dict[str, Any]:
    """Return the piece that a `$ref` refers to, or the piece itself."""
    while "$ref" in piece:
        found: Any = load_schema(kind)
        for step in piece["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        piece = found
    return piece
