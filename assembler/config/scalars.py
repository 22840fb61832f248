"""What a scalar means: YAML 1.2 as LinuxKit's reader has it.

`yes`, `no`, `on` and dates are texts; `0644` and `0o644` are octal numbers; `1_000` is a number.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(
    r"[-+]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|0[0-7_]*|[1-9][0-9_]*)", re.ASCII
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
# No 64-bit number is longer, and Python refuses to read very long ones.
_LONGEST_INT = 70
TAGS = {
    "tag:yaml.org,2002:" + name: name
    for name in ("str", "int", "float", "bool", "null", "map", "seq")
}


def plain(text: str) -> Scalar:
    """Return what a plain scalar stands for."""
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


def tagged(text: str, tag: str) -> Scalar:
    """Return what a scalar with an explicit tag stands for; ValueError if it cannot."""
    if tag == "str":
        return text
    value = plain(text)
    fits = {
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
        "bool": isinstance(value, bool),
        "null": value is None,
    }
    if not fits.get(tag, False):
        raise ValueError(f"{text!r} is not of the type !!{tag}")
    return float(value) if tag == "float" and isinstance(value, int) else value


def _number(text: str) -> int | float | None:
    if _INT.fullmatch(text) and len(text) <= _LONGEST_INT:
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
