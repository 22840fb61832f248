"""Names of keys, types and values in messages, for users who write YAML."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import TYPE_CHECKING, Any

from assembler.config.schemas import load_schema, resolve_reference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.config.positions import Positions

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
# Words that Go's YAML library takes for booleans, and some that only users do.
TRUE_WORDS = ("true", "yes", "on", "y")
FALSE_WORDS = ("false", "no", "off", "n")


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


def correction(
    piece: dict[str, Any], value: object, path: Sequence[str | int], own: Positions
) -> str:
    """Return a hint that corrects the value itself, or else shows the example of the schema."""
    key = path[-1] if isinstance(path[-1], str) else None
    lead = f"{key}: " if key else "- "
    types = piece.get("type", [])
    if types == "array":
        if value is None:
            return f"leave the key out, or write {lead}[]"
        text_list = isinstance(piece.get("items"), dict) and piece["items"].get("type") == "string"
        if isinstance(value, str | int | float) and text_list:
            parts = value.split() if key == "command" and isinstance(value, str) else [value]
            return f"write {lead}{flow_yaml([str(p) for p in parts])}"
        if isinstance(value, dict) and text_list and key == "env":
            return f"write {lead}{flow_yaml([f'{k}={v}' for k, v in value.items()][:3])}"
    elif "string" in types and isinstance(value, bool | int | float) and own.place is not None:
        written = source_text(own)
        if not re.search(piece.get("pattern", ""), written):
            return form_hint(piece)
        return f'put it in quotes: {lead}"{written}"'
    elif types == "boolean" and str(value).lower() in TRUE_WORDS:
        return f"write {lead}true"
    elif types == "boolean" and str(value).lower() in FALSE_WORDS:
        return f"write {lead}false"
    elif types == "integer" and isinstance(value, str) and value.strip().lstrip("-").isdigit():
        return f"write {lead}{value.strip()}, without quotes"
    return example_hint(key, piece)


def source_text(positions: Positions) -> str:
    """Return a value as the file has it: 0644, not the number 420."""
    place = positions.place
    if positions.written is not None:
        return shorten(positions.written)
    if place is None:
        return ""
    return shorten(place.source.line(place.line)[place.column - 1 :][: place.length].strip())


def value_name(path: Sequence[str | int]) -> str:
    """Return the name of a value in messages: its key, or `an entry` of its list."""
    last = path[-1]
    if isinstance(last, int):
        return f"an entry of `{path[-2]}`" if len(path) > 1 else "an entry"
    return f"`{last}`"


def form_hint(piece: dict[str, Any]) -> str:
    """Return a hint with the format that a schema requires."""
    return f"expected: {piece.get('x-form', piece.get('pattern'))}"
