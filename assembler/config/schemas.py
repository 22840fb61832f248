"""The JSON Schemas: where they are, and each as one self-contained document."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

KINDS = ("image", "build")
_SHARED = "image.schema.json#/$defs/"


def folder() -> Path:
    """Return the folder of the schemas, in a checkout or where the package is installed."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_schema"
    return installed if installed.is_dir() else package.parent / "schema"


def path(kind: str) -> Path:
    """Return the file of a schema."""
    return folder() / f"{kind}.schema.json"


@cache
def schema(kind: str) -> dict[str, Any]:
    """Return a schema; what build.yml shares with image.yml is brought into it."""
    found: dict[str, Any] = json.loads(path(kind).read_text("utf-8"))
    if kind == "image":
        return found
    shared = schema("image")["$defs"]
    needed: dict[str, Any] = {}
    whole = _localised(found, needed)
    todo = list(needed)
    while todo:
        name = todo.pop()
        before = set(needed)
        needed[name] = _localised(_from_image(shared[name]), needed)
        todo += needed.keys() - before
    return {**whole, "$defs": {**whole.get("$defs", {}), **needed}}


def _from_image(value: Any) -> Any:  # noqa: ANN401 - any piece of JSON
    """Return a piece of image.schema.json with references as other files write them."""
    if isinstance(value, dict):
        return {
            k: v.replace("#/$defs/", _SHARED) if k == "$ref" else _from_image(v)
            for k, v in value.items()
        }
    return [_from_image(v) for v in value] if isinstance(value, list) else value


def _localised(value: Any, needed: dict[str, Any]) -> Any:  # noqa: ANN401
    """Turn references to image.schema.json into local ones, and note what they need."""
    if isinstance(value, list):
        return [_localised(v, needed) for v in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, inner in value.items():
        if key == "$ref" and inner.startswith(_SHARED):
            name = inner.removeprefix(_SHARED)
            needed.setdefault(name.split("/")[0], None)
            made[key] = f"#/$defs/{name}"
        else:
            made[key] = _localised(inner, needed)
    return made


def resolved(kind: str, piece: dict[str, Any]) -> dict[str, Any]:
    """Follow the `$ref` of a piece of the schema, if it is one."""
    while "$ref" in piece:
        found: Any = schema(kind)
        for step in piece["$ref"].removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        piece = found
    return piece
