"""The emitter: plain data to YAML that every YAML library reads in the same way."""

from __future__ import annotations

import json
import re
from typing import Any

# Texts that need no quotes in any position and in any version of YAML.
_PLAIN = re.compile(r"(?:[A-Za-z_/]|\.{1,2}/)[A-Za-z0-9_./@+=-]*(?::[A-Za-z0-9_./@+=-]+)*")
# Booleans, null and floats, also of YAML 1.1.
_NOT_TEXT = re.compile(r"(?i:y|n|yes|no|on|off|true|false|null|inf|nan)")
# Characters that JSON does not escape, and YAML forbids or takes for a line end; and those that
# change the direction of text, by which a value could show as another one.
_ESCAPED = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
_NOT_IN_BLOCKS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)


def emit_yaml(data: dict[str, Any]) -> str:
    """Return the data as YAML, with lists and mappings in block style."""
    if not data:
        return "{}\n"
    return "".join(line + "\n" for line in _mapping(data, ""))


def _mapping(data: dict[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for key, value in data.items():
        lines += _entry(f"{indent}{_text(key)}:", value, indent)
    return lines


def _entry(head: str, value: Any, indent: str) -> list[str]:  # noqa: ANN401 - plain data
    if isinstance(value, dict) and value:
        return [head, *_mapping(value, indent + "  ")]
    if isinstance(value, list) and value:
        return [head, *_list(value, indent)]
    if isinstance(value, str) and _fits_block(value):
        return [*_block(head, value, indent + "  ")]
    return [f"{head} {_scalar(value)}"]


def _list(data: list[Any], indent: str) -> list[str]:
    lines: list[str] = []
    for value in data:
        if isinstance(value, dict | list) and value:
            inner = indent + "  "
            nested = _mapping(value, inner) if isinstance(value, dict) else _list(value, inner)
            lines += [f"{indent}- {nested[0].removeprefix(inner)}", *nested[1:]]
        elif isinstance(value, str) and _fits_block(value):
            lines += _block(f"{indent}-", value, indent + "  ")
        else:
            lines.append(f"{indent}- {_scalar(value)}")
    return lines


def _fits_block(text: str) -> bool:
    """Tell whether a text of several lines can be written as a block scalar."""
    first = text.split("\n", 1)[0]
    return (
        "\n" in text[:-1]
        and not _NOT_IN_BLOCKS.search(text)
        and bool(first.strip())
        and first[0] not in " \t"
    )


def _block(head: str, text: str, indent: str) -> list[str]:
    body = text.rstrip("\n")
    newlines = len(text) - len(body)
    style = "|-" if newlines == 0 else "|" if newlines == 1 else "|+"
    lines = [indent + line if line else "" for line in body.split("\n")]
    return [f"{head} {style}", *lines, *[""] * (newlines - 1)]


def _scalar(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return "{}"
    if isinstance(value, list):
        return "[]"
    return json.dumps(value)


def _text(text: str) -> str:
    if _PLAIN.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda m: f"\\u{ord(m.group()):04x}", quoted)
