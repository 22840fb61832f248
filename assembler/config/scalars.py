"""The values of YAML scalars: YAML 1.2 with the deviations of LinuxKit's YAML library.

`yes`, `no`, `on` and dates are texts; `0644` and `0o644` are octal numbers; `1_000` is a number.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
# What a value of a tag looks like.
_FORMS = {
    "int": "a whole number",
    "float": "a number, such as 1.5",
    "bool": "true or false",
    "null": "null",
}
_INT = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[0-7_]*|[1-9][0-9_]*)", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# No 64-bit number is longer, and Python refuses to parse very long ones.
_MAX_INT_LENGTH = 70
TAGS = {
    "tag:yaml.org,2002:" + name: name
    for name in ("str", "int", "float", "bool", "null", "map", "seq")
}


def parse_plain(text: str) -> Scalar:
    """Return the value of a plain scalar."""
    if not text or text[0] in "~nNtTfF":
        if text in _NULL:
            return None
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        return text
    if text[0] not in "+-.0123456789":
        return text
    number = _number(text)
    return text if number is None else number


def parse_tagged(text: str, tag: str) -> Scalar:
    """Return the value of a scalar with an explicit tag; raise ValueError if it does not fit."""
    if tag == "str":
        return text
    value = parse_plain(text)
    matches = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "null": value is None,
    }
    if not matches.get(tag, False):
        form = _FORMS.get(tag, tag)
        raise ValueError(f"{text!r} is not of the type !!{tag}: write {form}, or leave the tag out")
    return float(value) if tag == "float" and isinstance(value, int) else value


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text) and len(text) <= _MAX_INT_LENGTH:
        return _integer(text.replace("_", ""))
    if _FLOAT.fullmatch(text):
        return float(text.replace("_", ""))
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", "").lower())
    return None


def _integer(text: str) -> int | None:
    sign = -1 if text[0] == "-" else 1
    digits = text.lstrip("+-").lower()
    try:
        if digits[:2] in ("0x", "0b", "0o"):
            return sign * int(digits, 0)
        octal = len(digits) > 1 and digits[0] == "0"
        return sign * int(digits, 8 if octal else 10)
    except ValueError:
        return None
