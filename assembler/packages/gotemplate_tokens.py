"""The texts and actions of a tag template, and the tokens of an action."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.packages.gotemplate_functions import TemplateError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPACE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<field>\.[^\W\d]\w*)
    |(?P<dot>\.)(?![\w.])
    |(?P<variable>\$\w*(?:\.[^\W\d]\w*)?)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|[1-9][0-9]*|0))(?![\w.])
    |(?P<word>[^\W\d]\w*)
    |(?P<mark>:=|[|(),=])""",
    re.VERBOSE,
)


def split_actions(template: str) -> Iterator[tuple[str, str | None]]:
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


def tokenize(action: str) -> list[Token]:
    found, at = [], 0
    while at < len(action):
        match = _TOKEN.match(action, at)
        if match is None:
            raise TemplateError(f"unexpected {action[at:].strip()[:20]!r} in {{{{{action}}}}}")
        if match.lastgroup != "space":
            found.append(Token(match.lastgroup or "", match.group()))
        at = match.end()
    return found
