"""Words about keys, types and values, for those who write YAML and not programs."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from assembler.config.schemas import resolved, schema

if TYPE_CHECKING:
    from collections.abc import Sequence

# What other tools call it.
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
_LONGEST = 60
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./:=+-]*")
_WORDS_WITH_MEANING = {"true", "false", "null", "yes", "no", "on", "off"}


def path_text(path: Sequence[str | int]) -> str:
    """Return a path as people write it: `services[0].runtime`; empty for the top."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def wanted(kind: str, piece: dict[str, Any]) -> str:
    """Return what a schema takes: `a list of texts`."""
    types = piece.get("type", [])
    names = [types] if isinstance(types, str) else list(types)
    if names == ["array"]:
        items = resolved(kind, piece.get("items", {}))
        inner = {"string": "texts", "object": "mappings"}.get(str(items.get("type")))
        return f"a list of {inner}" if inner else "a list"
    return " or ".join(_TYPES[n] for n in names)


def given(value: object) -> str:
    """Return what a value is: `the number 5`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, int):
        return "a number" if value.bit_length() > 64 else f"the number {value}"
    if isinstance(value, float):
        return f"the number {value!r}"
    if isinstance(value, str):
        return f"the text {shortened(value)!r}"
    return "a list" if isinstance(value, list) else "a mapping"


def shortened(text: str) -> str:
    """Return the text, or its beginning if it is long."""
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def flow(value: object) -> str:
    """Return a value as YAML in one line, for hints and for the reference."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(k)}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    if isinstance(value, str):
        safe = _PLAIN.fullmatch(value) and value.lower() not in _WORDS_WITH_MEANING
        return value if safe and not value.endswith(":") else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def example(key: str | None, piece: dict[str, Any]) -> str:
    """Return the hint that shows the schema's example."""
    examples = piece.get("examples") or []
    if not examples:
        return ""
    text = flow(examples[0])
    return f"for example: {key}: {text}" if key else f"for example: {text}"


@cache
def homes_of(kind: str, key: str) -> tuple[str, ...]:
    """Return the names of the parts that have a key."""
    found: dict[str, None] = {}

    def look(piece: dict[str, Any], name: str, depth: int) -> None:
        piece = resolved(kind, piece)
        if piece.get("type") == "array":
            look(piece["items"], name, depth)
            return
        for inner, below in piece.get("properties", {}).items():
            if inner == key:
                found[name or "the top level"] = None
            elif depth < 4:
                label = (
                    inner if name in ("", "services", "onboot", "onshutdown") else f"{name}.{inner}"
                )
                look(below, label, depth + 1)

    look(schema(kind), "", 0)
    return tuple(found)
