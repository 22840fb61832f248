"""Names of keys, types and values in messages, for users who write YAML."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from assembler.config.schemas import load_schema, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

# Names that other tools use for a key.
SYNONYMS = {
    "args": "command",
    "cap_add": "capabilities.add",
    "caps": "capabilities",
    "cmd": "command",
    "content": "contents",
    "data": "contents",
    "dest": "destination",
    "dst": "destination",
    "entrypoint": "command",
    "environment": "env",
    "fstype": "type",
    "group": "gid",
    "initrd": "init",
    "link": "symlink",
    "modules": "tar",
    "network": "net",
    "network_mode": "net",
    "owner": "uid",
    "permissions": "mode",
    "ports": "net",
    "privileged": "capabilities",
    "read_only": "readonly",
    "src": "source",
    "target": "destination",
    "ulimits": "rlimits",
    "user": "uid",
    "volume": "binds",
    "volumes": "binds",
    "workdir": "cwd",
    "working_dir": "cwd",
}
_TYPES = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}
_MAX_LENGTH = 60
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:=+-]*")
_RESERVED_WORDS = {"true", "false", "null", "yes", "no", "on", "off"}


def format_path(path: Sequence[str | int]) -> str:
    """Return a path such as `services[0].runtime`; an empty text for the top level."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def expected_type(kind: str, piece: dict[str, Any]) -> str:
    """Return the type that a schema accepts, such as `a list of texts`."""
    types = piece.get("type", [])
    names = [types] if isinstance(types, str) else list(types)
    if names == ["array"]:
        items = resolve_reference(kind, piece.get("items", {}))
        inner = {"string": "texts", "object": "mappings"}.get(str(items.get("type")))
        return f"a list of {inner}" if inner else "a list"
    return " or ".join(_TYPES[n] for n in names)


def describe_value(value: object) -> str:
    """Return a description of a value, such as `the number 5`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return "a number" if value.bit_length() > 64 else f"the number {value}"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the text {shorten(value)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def shorten(text: str) -> str:
    """Return the text, or the beginning of a long text."""
    return text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 1] + "…"


def flow_yaml(value: object) -> str:
    """Return a value as YAML on one line, for hints and for the reference."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow_yaml(k)}: {flow_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow_yaml(v) for v in value) + "]"
    if isinstance(value, str):
        safe = _PLAIN.fullmatch(value) and value.lower() not in _RESERVED_WORDS
        return value if safe and not value.endswith(":") else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def example_hint(key: str | None, piece: dict[str, Any]) -> str:
    """Return a hint with the example of the schema."""
    examples = piece.get("examples") or []
    if not examples:
        return ""
    text = flow_yaml(examples[0])
    return f"for example: {key}: {text}" if key else f"for example: {text}"


@cache
def sections_with_key(kind: str, key: str) -> tuple[str, ...]:
    """Return the names of the sections that have the key."""
    found: dict[str, None] = {}

    def search(piece: dict[str, Any], name: str, depth: int) -> None:
        piece = resolve_reference(kind, piece)
        if piece.get("type") == "array":
            search(piece["items"], name, depth)
            return
        for inner, below in piece.get("properties", {}).items():
            if inner == key:
                found[name or "the top level"] = None
            elif depth < 4:
                label = (
                    inner if name in ("", "services", "onboot", "onshutdown") else f"{name}.{inner}"
                )
                search(below, label, depth + 1)

    search(load_schema(kind), "", 0)
    return tuple(found)
