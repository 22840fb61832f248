"""The subset of Go's text/template that tags of packages use.

A template is text with actions between `{{` and `}}`. An action is a pipeline of operands and
calls: `{{.Hash}}`, `{{printf "%.7s" .Hash}}`, `{{.Hash | printf "v1-%s"}}`, `{{slice .Hash 0 8}}`.
Everything else raises `TemplateError`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Value = str | int | bool
# Go's text for a missing field.
NO_VALUE = "<no value>"
_SPACE = " \t\r\n"
_MAX_WIDTH = 1 << 12


class TemplateError(ValueError):
    """The template is invalid, or uses unsupported syntax."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|[1-9][0-9]*|0))(?![\w.])
    |(?P<word>[^\W\d]\w*)
    |(?P<mark>[|()])""",
    re.VERBOSE,
)
# Go's keywords and functions that are not supported.
_UNSUPPORTED = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range"}) | {
    *("template", "with", "nil", "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge"),
    *("html", "js", "urlquery", "index", "call", "println"),
}


def expand(template: str, fields: Mapping[str, str]) -> str:
    """Return the template with its actions expanded."""
    return "".join(
        text if action is None else _format_value(_Pipeline(action, fields).value())
        for text, action in _split_actions(template)
    )


def unknown_fields(template: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the missing fields that the template uses, such as `.Nope`."""
    found = dict.fromkeys(
        token.text
        for _, action in _split_actions(template)
        if action is not None
        for token in _tokenize(action)
        if token.kind == "field" and token.text[1:] not in fields
    )
    return tuple(found)


def _split_actions(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield texts and actions; trim markers remove white space."""
    rest, trim = template, False
    while True:
        text, opened, rest = rest.partition("{{")
        if trim:
            text = text.lstrip(_SPACE)
        if not opened:
            yield text, None
            return
        if rest[:1] == "-" and rest[1:2] and rest[1] in _SPACE:
            text, rest = text.rstrip(_SPACE), rest[2:]
        yield text, None
        inner, rest, trim = _split_action(rest)
        if inner is not None:
            yield "", inner


def _split_action(rest: str) -> tuple[str | None, str, bool]:
    """Return the first action (None for a comment), the rest, and whether the rest is trimmed."""
    stripped = rest.lstrip(_SPACE)
    if stripped.startswith("/*"):
        comment, closed, after = stripped[2:].partition("*/")
        end = re.match(r"(?P<trim>[ \t\r\n]+-)?\}\}", after)
        if not closed or end is None:
            raise TemplateError(f"unclosed comment {{{{/*{comment[:30]}")
        return None, after[end.end() :], end["trim"] is not None
    at = 0
    while at < len(rest) and not rest.startswith("}}", at):
        quoted = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`').match(rest, at)
        at = quoted.end() if quoted else at + 1
    if at >= len(rest):
        raise TemplateError("unclosed action: {{ without }}")
    inner, after = rest[:at], rest[at + 2 :]
    if inner[-1:] == "-" and inner[-2:-1] and inner[-2] in _SPACE:
        return inner[:-1], after, True
    return inner, after, False


def _tokenize(action: str) -> list[_Token]:
    found, at = [], 0
    while at < len(action):
        match = _TOKEN.match(action, at)
        if match is None:
            raise TemplateError(f"unexpected {action[at:].strip()[:20]!r} in {{{{{action}}}}}")
        if match.lastgroup != "space":
            found.append(_Token(match.lastgroup or "", match.group()))
        at = match.end()
    return found


class _Pipeline:
    """Evaluates one action."""

    def __init__(self, action: str, fields: Mapping[str, str]) -> None:
        self.action = action
        self.fields = fields
        self._tokens = _tokenize(action)

    def value(self) -> Value | None:
        """Return the value of the action."""
        if not self._tokens:
            raise TemplateError("empty action {{}}")
        value = self._pipeline()
        if self._tokens:
            raise TemplateError(f"unexpected ) in {{{{{self.action}}}}}")
        return value

    def _pipeline(self) -> Value | None:
        value = self._command(None)
        while self._tokens and self._tokens[0].text == "|":
            self._tokens.pop(0)
            if value is None:
                raise TemplateError(f"missing value before | in {{{{{self.action}}}}}")
            value = self._command(value)
        return value

    def _command(self, passed: Value | None) -> Value | None:
        if not self._tokens or self._tokens[0].text in ("|", ")"):
            raise TemplateError(f"missing operand in {{{{{self.action}}}}}")
        head = self._tokens[0]
        name = head.text if head.kind == "word" and head.text not in ("true", "false") else ""
        if name:
            self._tokens.pop(0)
            if name not in _FUNCTIONS:
                raise TemplateError(_unknown_function_message(name))
        operands: list[Value | None] = []
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            operands.append(self._operand())
        if passed is not None:
            operands.append(passed)
        if not name:
            if len(operands) != 1:
                raise TemplateError(f"{head.text} takes no arguments in {{{{{self.action}}}}}")
            return operands[0]
        arguments = []
        for operand in operands:
            if operand is None:
                known = ", ".join(f".{field}" for field in self.fields)
                raise TemplateError(f"unknown field in an argument of {name}; known: {known}")
            arguments.append(operand)
        return _FUNCTIONS[name](arguments)

    def _operand(self) -> Value | None:
        token = self._tokens.pop(0)
        match token.kind:
            case "field":
                return self.fields.get(token.text[1:])
            case "string":
                return _unquote(token.text[1:-1])
            case "raw":
                return token.text[1:-1].replace("\r", "")
            case "number":
                return _parse_number(token.text)
            case "word" if token.text in ("true", "false"):
                return token.text == "true"
            case "mark" if token.text == "(":
                value = self._pipeline()
                if not self._tokens or self._tokens.pop(0).text != ")":
                    raise TemplateError(f"missing ) in {{{{{self.action}}}}}")
                return value
        raise TemplateError(_unknown_function_message(token.text))


def _unknown_function_message(name: str) -> str:
    known = ", ".join(sorted(_FUNCTIONS))
    if name in _UNSUPPORTED:
        return f"{name!r} is not supported in a tag; supported: {known}"
    return f"unknown function {name!r}; supported: {known}"


_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\\"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})|(?P<bad>.))"
)
_SIMPLE_ESCAPES = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


def _unquote(text: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        if match["simple"]:
            return _SIMPLE_ESCAPES[match["simple"]]
        digits = match["x"] or match["u"] or match["U"]
        try:
            return chr(int(digits, 16) if digits else int(match["o"] or "?", 8))
        except (ValueError, OverflowError) as error:
            raise TemplateError(f"invalid escape {match.group()!r} in a string") from error

    return _ESCAPE.sub(replacement, text)


def _parse_number(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if len(digits) > 20:
        raise TemplateError(f"number too large: {text[:20]}")
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _format_value(value: Value | None) -> str:
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
        out += _format_value(value)
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
        return _format_value(value).rjust(width)
    if _is_number(value) and verb in ("d", "v") and precision is None and flags in ("", "-", "0"):
        text = str(value)
        if flags == "0":
            return text.zfill(width)
        return text.ljust(width) if flags else text.rjust(width)
    raise TemplateError(f"printf: {match.group()!r} is not supported for {_format_value(value)!r}")


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


_FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "len": _len,
    "print": _print,
    "printf": _printf,
    "slice": _slice,
}
