"""The part of Go's text/template that tags of packages use, with Go's meaning.

A template is text with actions between `{{` and `}}`. An action is a pipeline of operands and
calls: `{{.Hash}}`, `{{printf "%.7s" .Hash}}`, `{{.Hash | printf "v1-%s"}}`, `{{slice .Hash 0 8}}`.
Whatever is not understood raises `TemplateError`; nothing is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Value = str | int | bool
# What Go prints for a field that the data lacks.
NO_VALUE = "<no value>"
_SPACE = " \t\r\n"
_WIDEST = 1 << 12


class TemplateError(ValueError):
    """The template is wrong, or says more than is understood here."""


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
# Go's own words, to tell "not understood here" from "does not exist".
_KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range"}) | {
    *("template", "with", "nil", "and", "or", "not", "eq", "ne", "lt", "le", "gt", "ge"),
    *("html", "js", "urlquery", "index", "call", "println"),
}


def expand(template: str, fields: Mapping[str, str]) -> str:
    """Return the template with its actions replaced."""
    return "".join(
        text if action is None else _shown(_Pipeline(action, fields).value())
        for text, action in _parts(template)
    )


def unknown_fields(template: str, fields: Mapping[str, str]) -> tuple[str, ...]:
    """Return the fields that the template asks for and the data lacks, as `.Nope`."""
    found = dict.fromkeys(
        token.text
        for _, action in _parts(template)
        if action is not None
        for token in _tokens(action)
        if token.kind == "field" and token.text[1:] not in fields
    )
    return tuple(found)


def _parts(template: str) -> Iterator[tuple[str, str | None]]:
    """Yield texts and actions, the spaces trimmed as the marks beside the braces ask for."""
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
        inner, rest, trim = _action(rest)
        if inner is not None:
            yield "", inner


def _action(rest: str) -> tuple[str | None, str, bool]:
    """Split off an action; a comment is none. Tell whether the text after it is trimmed."""
    stripped = rest.lstrip(_SPACE)
    if stripped.startswith("/*"):
        comment, closed, after = stripped[2:].partition("*/")
        end = re.match(r"(?P<trim>[ \t\r\n]+-)?\}\}", after)
        if not closed or end is None:
            raise TemplateError(f"a comment is not closed: {{{{/*{comment[:30]}")
        return None, after[end.end() :], end["trim"] is not None
    at = 0
    while at < len(rest) and not rest.startswith("}}", at):
        quoted = re.compile(r'"(?:[^"\\\n]|\\.)*"|`[^`]*`').match(rest, at)
        at = quoted.end() if quoted else at + 1
    if at >= len(rest):
        raise TemplateError("an action that begins with {{ is not closed by }}")
    inner, after = rest[:at], rest[at + 2 :]
    if inner[-1:] == "-" and inner[-2:-1] and inner[-2] in _SPACE:
        return inner[:-1], after, True
    return inner, after, False


def _tokens(action: str) -> list[_Token]:
    found, at = [], 0
    while at < len(action):
        match = _TOKEN.match(action, at)
        if match is None:
            raise TemplateError(f"not understood in {{{{{action}}}}}: {action[at:].strip()[:20]!r}")
        if match.lastgroup != "space":
            found.append(_Token(match.lastgroup or "", match.group()))
        at = match.end()
    return found


class _Pipeline:
    """The evaluation of one action."""

    def __init__(self, action: str, fields: Mapping[str, str]) -> None:
        self.action = action
        self.fields = fields
        self.todo = _tokens(action)

    def value(self) -> Value | None:
        """Return what the whole action stands for."""
        if not self.todo:
            raise TemplateError("an action is empty: {{}}")
        value = self._piped()
        if self.todo:
            raise TemplateError(f"a parenthesis too many in {{{{{self.action}}}}}")
        return value

    def _piped(self) -> Value | None:
        value = self._command(None)
        while self.todo and self.todo[0].text == "|":
            self.todo.pop(0)
            if value is None:
                raise TemplateError(f"there is nothing to pass on in {{{{{self.action}}}}}")
            value = self._command(value)
        return value

    def _command(self, passed: Value | None) -> Value | None:
        if not self.todo or self.todo[0].text in ("|", ")"):
            raise TemplateError(f"something is missing in {{{{{self.action}}}}}")
        head = self.todo[0]
        name = head.text if head.kind == "word" and head.text not in ("true", "false") else ""
        if name:
            self.todo.pop(0)
            if name not in _FUNCTIONS:
                raise TemplateError(_no_function(name))
        operands: list[Value | None] = []
        while self.todo and self.todo[0].text not in ("|", ")"):
            operands.append(self._operand())
        if passed is not None:
            operands.append(passed)
        if not name:
            if len(operands) != 1:
                raise TemplateError(f"{head.text} takes no arguments in {{{{{self.action}}}}}")
            return operands[0]
        given = []
        for operand in operands:
            if operand is None:
                raise TemplateError(
                    f"{name} is given a field that does not exist; "
                    f"there is {_and(f'.{f}' for f in self.fields)}"
                )
            given.append(operand)
        return _FUNCTIONS[name](given)

    def _operand(self) -> Value | None:
        token = self.todo.pop(0)
        match token.kind:
            case "field":
                return self.fields.get(token.text[1:])
            case "string":
                return _unquoted(token.text[1:-1])
            case "raw":
                return token.text[1:-1].replace("\r", "")
            case "number":
                return _number(token.text)
            case "word" if token.text in ("true", "false"):
                return token.text == "true"
            case "mark" if token.text == "(":
                value = self._piped()
                if not self.todo or self.todo.pop(0).text != ")":
                    raise TemplateError(f"a parenthesis is not closed in {{{{{self.action}}}}}")
                return value
        raise TemplateError(_no_function(token.text))


def _no_function(name: str) -> str:
    known = _and(sorted(_FUNCTIONS))
    if name in _KEYWORDS:
        return f"{name!r} is not understood in a tag; there is {known}"
    return f"there is no function {name!r}; there is {known}"


def _and(names: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(names)


_ESCAPE = re.compile(
    r"\\(?:(?P<simple>[abfnrtv\\\"])|x(?P<x>[0-9a-fA-F]{2})|u(?P<u>[0-9a-fA-F]{4})"
    r"|U(?P<U>[0-9a-fA-F]{8})|(?P<o>[0-3][0-7]{2})|(?P<bad>.))"
)
_SIMPLE = dict(zip('abfnrtv\\"', '\a\b\f\n\r\t\v\\"', strict=True))


def _unquoted(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if match["simple"]:
            return _SIMPLE[match["simple"]]
        digits = match["x"] or match["u"] or match["U"]
        try:
            return chr(int(digits, 16) if digits else int(match["o"] or "?", 8))
        except (ValueError, OverflowError) as error:
            raise TemplateError(f"not an escape in a string: {match.group()!r}") from error

    return _ESCAPE.sub(one, text)


def _number(text: str) -> int:
    sign, digits = (-1, text[1:]) if text[0] == "-" else (1, text.lstrip("+"))
    if len(digits) > 20:
        raise TemplateError(f"a number is too large: {text[:20]}")
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        return sign * int(digits, 8)
    return sign * int(digits, 0)


def _shown(value: Value | None) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _print(values: Sequence[Value]) -> str:
    """As Go's Sprint: a space between two values of which neither is text."""
    out = ""
    for i, value in enumerate(values):
        if i and not isinstance(value, str) and not isinstance(values[i - 1], str):
            out += " "
        out += _shown(value)
    return out


_VERB = re.compile(
    r"%(?P<flags>[-+0 #]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?(?P<verb>.?)", re.DOTALL
)


def _printf(values: Sequence[Value]) -> str:
    if not values or not isinstance(values[0], str):
        raise TemplateError('printf wants its format first, as printf "%.7s" .Hash')
    form, todo = values[0], list(values[1:])

    def one(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not todo:
            raise TemplateError(f"printf has no value for {match.group()!r}")
        return _formatted(match, todo.pop(0))

    out = _VERB.sub(one, form)
    if todo:
        raise TemplateError(f"printf has {len(todo)} values more than its format {form!r} uses")
    return out


def _formatted(match: re.Match[str], value: Value) -> str:
    flags, verb = match["flags"], match["verb"]
    width = int(match["width"] or 0)
    cut = None if match["precision"] is None else int(match["precision"] or 0)
    if max(width, cut or 0) > _WIDEST:
        raise TemplateError(f"printf: {match.group()!r} is too wide")
    if isinstance(value, str) and verb in ("s", "v", "x") and set(flags) <= {"-"}:
        # Go counts a width in characters, and cuts before it looks at the verb.
        text = value if cut is None else value[:cut]
        text = text.encode().hex() if verb == "x" else text
        return text.ljust(width) if "-" in flags else text.rjust(width)
    if isinstance(value, bool) and verb in ("t", "v") and cut is None and not flags:
        return _shown(value).rjust(width)
    if _is_whole(value) and verb in ("d", "v") and cut is None and flags in ("", "-", "0"):
        text = str(value)
        if flags == "0":
            return text.zfill(width)
        return text.ljust(width) if flags else text.rjust(width)
    raise TemplateError(f"printf: {match.group()!r} is not understood for {_shown(value)!r}")


def _slice(values: Sequence[Value]) -> str:
    text, *bounds = values or ("",)
    if not isinstance(text, str) or len(bounds) > 2 or not all(_is_whole(b) for b in bounds):
        raise TemplateError("slice wants a text and up to two numbers, as slice .Hash 0 7")
    data = text.encode()
    start, end = (*(int(b) for b in bounds), *(0, len(data))[len(bounds) :])
    if not 0 <= start <= end <= len(data):
        raise TemplateError(f"slice: {start} to {end} is outside of a text of {len(data)} letters")
    return data[start:end].decode("utf-8", "replace")


def _is_whole(value: Value) -> bool:
    """Tell whether the value is a number; Python's true and false would pass for numbers."""
    return isinstance(value, int) and not isinstance(value, bool)


def _len(values: Sequence[Value]) -> int:
    if len(values) != 1 or not isinstance(values[0], str):
        raise TemplateError("len wants one text, as len .Hash")
    return len(values[0].encode())


_FUNCTIONS: Mapping[str, Callable[[Sequence[Value]], Value]] = {
    "len": _len,
    "print": _print,
    "printf": _printf,
    "slice": _slice,
}
