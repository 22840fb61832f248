"""The functions and values of tag templates: Go's, for texts, numbers and booleans."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Value = str | int | bool
# Go's text for a missing field.
NO_VALUE = "<no value>"
_MAX_WIDTH = 1 << 12


class TemplateError(ValueError):
    """The template is invalid, or uses unsupported syntax."""


_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\\"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})|(?P<bad>.))"
)
_SIMPLE_ESCAPES = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


def unquote(text: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match["simple"]:
            return _SIMPLE_ESCAPES[match["simple"]]
        digits = match["x"] or match["u"] or match["U"]
        try:
            return chr(int(digits, 16) if digits else int(match["o"] or "?", 8))
        except (ValueError, OverflowError) as error:
            raise TemplateError(f"invalid escape {match.group()!r} in a string") from error

    return _ESCAPE.sub(replacement, text)


def parse_number(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if len(digits) > 20:
        raise TemplateError(f"number too large: {text[:20]}")
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def format_value(value: Value | None) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _print(values: Sequence[Value]) -> str:
    """Join values as Go's Sprint: a space between two values if neither is a string."""
    out = ""
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            out += " "
        out += format_value(value)
    return out


_VERB = re.compile(
    r"%(?P<flags>[-+0 #]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL
)


def _printf(values: Sequence[Value]) -> str:
    if not values or not isinstance(values[0], str):
        raise TemplateError('printf needs a format, as in printf "%.7s" .Hash')
    template, arguments = values[0], list(values[1:])

    def replacement(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not arguments:
            raise TemplateError(f"printf: missing value for {match.group()!r}")
        return _format_verb(match, arguments.pop(0))

    out = _VERB.sub(replacement, template)
    if arguments:
        raise TemplateError(f"printf: {len(arguments)} values too many for {template!r}")
    return out


def _format_verb(match: re.Match[str], value: Value) -> str:
    flags, verb = match["flags"], match["verb"]
    width = int(match["width"] or 0)
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    if max(width, precision or 0) > _MAX_WIDTH:
        raise TemplateError(f"printf: {match.group()!r} is too wide")
    if isinstance(value, str) and verb in ("s", "v", "x") and set(flags) <= {"-"}:
        # Go counts a width in characters, and cuts before it looks at the verb.
        text = value if precision is None else value[:precision]
        text = text.encode().hex() if verb == "x" else text
        return text.ljust(width) if "-" in flags else text.rjust(width)
    if isinstance(value, bool) and verb in ("t", "v") and precision is None and not flags:
        return format_value(value).rjust(width)
    if _is_number(value) and verb in ("d", "v") and precision is None and flags in ("", "-", "0"):
        text = str(value)
        if flags == "0":
            return text.zfill(width)
        return text.ljust(width) if flags else text.rjust(width)
    raise TemplateError(f"printf: {match.group()!r} is not supported for {format_value(value)!r}")


def _slice(values: Sequence[Value]) -> str:
    text, *bounds = values or ("",)
    if not isinstance(text, str) or len(bounds) > 2 or not all(_is_number(b) for b in bounds):
        raise TemplateError("slice needs a string and up to two numbers, as in slice .Hash 0 7")
    data = text.encode()
    start, end = (*(int(b) for b in bounds), *(0, len(data))[len(bounds) :])
    if not 0 <= start <= end <= len(data):
        raise TemplateError(f"slice: {start} to {end} is out of range for {len(data)} bytes")
    return data[start:end].decode("utf-8", "replace")


def _is_number(value: Value) -> bool:
    """Tell whether the value is a number; in Python, booleans are integers."""
    return isinstance(value, int) and not isinstance(value, bool)


def _len(values: Sequence[Value]) -> int:
    if len(values) != 1 or not isinstance(values[0], str):
        raise TemplateError("len needs one string, as in len .Hash")
    return len(values[0].encode())


def is_true(value: object) -> bool:
    """Tell whether `if` takes a value: it is there, and no zero, false or empty text."""
    return bool(value)


def _not(values: Sequence[Value | None]) -> Value:
    if len(values) != 1:
        raise TemplateError("not needs one value, as in not .Hash")
    return not is_true(values[0])


def _and(values: Sequence[Value | None]) -> Value | None:
    if not values:
        raise TemplateError("and needs a value")
    return next((value for value in values if not is_true(value)), values[-1])


def _or(values: Sequence[Value | None]) -> Value | None:
    if not values:
        raise TemplateError("or needs a value")
    return next((value for value in values if is_true(value)), values[-1])


def _compare(name: str, values: Sequence[Value]) -> tuple[Value, Value]:
    """Return two values that can be compared: both texts, or both numbers."""
    if len(values) != 2:
        raise TemplateError(f'{name} compares two values, as in {name} .Hash "x"')
    left, right = values
    if type(left) is not type(right):
        raise TemplateError(
            f"{name} cannot compare {format_value(left)!r} and {format_value(right)!r}"
        )
    return left, right


def _eq(values: Sequence[Value]) -> Value:
    if len(values) < 2:
        raise TemplateError('eq compares values, as in eq .Hash "x"')
    pairs = [_compare("eq", (values[0], other)) for other in values[1:]]
    return any(left == right for left, right in pairs)


def _ne(values: Sequence[Value]) -> Value:
    left, right = _compare("ne", values)
    return left != right


def _less(name: str, values: Sequence[Value], *, equal: bool = False, swap: bool = False) -> Value:
    left, right = _compare(name, values)
    if isinstance(left, bool):
        raise TemplateError(f"{name} cannot compare booleans")
    if left == right:
        return equal
    # Go compares the bytes of texts.
    first, second = (str(v).encode() if isinstance(v, str) else v for v in (left, right))
    return bool(first > second if swap else first < second)  # type: ignore[operator]


# They take missing fields, too.
LOGIC: Mapping[str, Callable[[Sequence[Value | None]], Value | None]] = {
    "and": _and,
    "not": _not,
    "or": _or,
}
FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "eq": _eq,
    "ge": lambda values: _less("ge", values, equal=True, swap=True),
    "gt": lambda values: _less("gt", values, swap=True),
    "le": lambda values: _less("le", values, equal=True),
    "len": _len,
    "lt": lambda values: _less("lt", values),
    "ne": _ne,
    "print": _print,
    "printf": _printf,
    "slice": _slice,
}
