"""Variables and quotes in the words of a Dockerfile, by Docker's rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_NAME = _NAME_START | frozenset("0123456789")


class WordError(ValueError):
    """A word that cannot be parsed."""


def expand(word: str, variables: Mapping[str, str], escape: str = "\\") -> str:
    """Return the word with variables expanded and quotes removed."""
    return _Lexer(word, variables, escape).read_until()


def expand_text(text: str, variables: Mapping[str, str]) -> str:
    """Return a text with variables expanded; quotes are ordinary characters.

    A backslash escapes a dollar or a backslash.
    """
    lexer, out = _Lexer(text, variables, "\\"), []
    while lexer.at < len(text):
        c = text[lexer.at]
        lexer.at += 1
        if c == "\\" and text[lexer.at : lexer.at + 1] in ("$", "\\"):
            out.append(text[lexer.at])
            lexer.at += 1
        else:
            out.append(lexer.variable() if c == "$" else c)
    return "".join(out)


def split_quoted(text: str, escape: str = "\\") -> list[str]:
    """Split a text at spaces outside of quotes; the quotes are kept."""
    words: list[str] = []
    current, quote, at = "", "", 0
    in_word = False
    while at < len(text):
        c = text[at]
        if c == escape and quote != "'" and at + 1 < len(text):
            current += text[at : at + 2]
            at, in_word = at + 2, True
            continue
        if quote:
            quote = "" if c == quote else quote
        elif c in "'\"":
            quote = c
        elif c.isspace():
            if in_word:
                words.append(current)
            current, in_word, at = "", False, at + 1
            continue
        current, in_word, at = current + c, True, at + 1
    if quote:
        raise WordError(f"missing closing {quote}")
    return [*words, current] if in_word else words


@dataclass(slots=True)
class _Lexer:
    text: str
    variables: Mapping[str, str]
    escape: str
    at: int = 0

    def read_until(self, end: str = "") -> str:
        """Read up to a character outside of quotes, or to the end of the text."""
        out: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            if end and c == end:
                return "".join(out)
            self.at += 1
            if c == "'":
                out.append(self._single())
            elif c == '"':
                out.append(self._double())
            elif c == "$":
                out.append(self.variable())
            elif c == self.escape and self.at < len(self.text):
                out.append(self.text[self.at])
                self.at += 1
            else:
                out.append(c)
        if end:
            raise WordError(f"missing closing {end}")
        return "".join(out)

    def _single(self) -> str:
        end = self.text.find("'", self.at)
        if end < 0:
            raise WordError("missing closing '")
        found, self.at = self.text[self.at : end], end + 1
        return found

    def _double(self) -> str:
        out: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == '"':
                return "".join(out)
            if c == "$":
                out.append(self.variable())
            elif c == self.escape and self.text[self.at : self.at + 1] in ('"', "$", self.escape):
                out.append(self.text[self.at])
                self.at += 1
            else:
                out.append(c)
        raise WordError('missing closing "')

    def variable(self) -> str:
        """Read a variable after the dollar; return its value."""
        if self.text[self.at : self.at + 1] == "{":
            self.at += 1
            return self._braced()
        name = self._name()
        return self.variables.get(name, "") if name else "$"

    def _name(self) -> str:
        begin = self.at
        if self.at < len(self.text) and self.text[self.at] in _NAME_START:
            while self.at < len(self.text) and self.text[self.at] in _NAME:
                self.at += 1
        return self.text[begin : self.at]

    def _braced(self) -> str:
        name = self._name()
        if not name:
            raise WordError("${ is not followed by the name of a variable")
        rest = self.text[self.at :]
        if rest.startswith("}"):
            self.at += 1
            return self.variables.get(name, "")
        if "}" not in rest:
            raise WordError("missing closing }")
        colon = rest.startswith(":")
        mark = rest[1:2] if colon else rest[:1]
        if mark not in ("-", "+", "?"):
            raise WordError(
                f"${{{name}{rest.partition('}')[0]}}} is not supported: "
                "use ${NAME}, ${NAME:-DEFAULT}, ${NAME:+OTHER} or ${NAME:?MESSAGE}"
            )
        self.at += 2 if colon else 1
        other = self.read_until("}")
        self.at += 1
        value = self.variables.get(name)
        is_set = bool(value) if colon else value is not None
        return _CHOICES[mark](name, value or "", other, is_set)


def _or_default(_name: str, value: str, other: str, is_set: bool) -> str:  # noqa: FBT001
    return value if is_set else other


def _or_nothing(_name: str, _value: str, other: str, is_set: bool) -> str:  # noqa: FBT001
    return other if is_set else ""


def _or_error(name: str, value: str, other: str, is_set: bool) -> str:  # noqa: FBT001
    if not is_set:
        raise WordError(f"{name} is not set" + (f": {other}" if other else ""))
    return value


_CHOICES: Mapping[str, Callable[[str, str, str, bool], str]] = {
    "-": _or_default,
    "+": _or_nothing,
    "?": _or_error,
}
