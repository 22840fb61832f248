"""Conditions of Kconfig: their value under a configuration, and what makes them fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOKEN = re.compile(
    r"\s*(&&|\|\||!=|<=|>=|=|<|>|!|\(|\)|\$\((?:[^()]|\([^()]*\))*\)|\"[^\"]*\"|'[^']*'|[\w.-]+)"
)
_VALUES = {"n": 0, "m": 1, "y": 2}
_WORDS = ("off", "a module", "built in")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The value of a condition (0 off, 1 module, 2 on), and the terms that keep it there."""

    value: int
    # None of them is there if the value is 2.
    failing: tuple[str, ...] = ()


def evaluate(condition: str, values: Mapping[str, str]) -> Outcome:
    """Return the outcome of a condition; what cannot be read, such as a macro, holds."""
    tokens = _TOKEN.findall(condition)
    if not tokens:
        return Outcome(2)
    parser = _ConditionParser(tokens, values)
    try:
        return parser.either()
    except IndexError:
        return Outcome(2)


@dataclass(slots=True)
class _ConditionParser:
    tokens: list[str]
    values: Mapping[str, str]
    at: int = 0

    def either(self) -> Outcome:
        found = self._both()
        while self._accept("||"):
            other = self._both()
            value = max(found.value, other.value)
            failing = () if value == 2 else (*found.failing, *other.failing)
            found = Outcome(value, failing)
        return found

    def _both(self) -> Outcome:
        found = self._term()
        while self._accept("&&"):
            other = self._term()
            found = Outcome(min(found.value, other.value), (*found.failing, *other.failing))
        return found

    def _term(self) -> Outcome:
        if self._accept("!"):
            inner_from = self.at
            inner = self._term()
            text = " ".join(self.tokens[inner_from : self.at])
            value = 2 - inner.value
            return Outcome(value, () if value == 2 else (f"not {text} ({_WORDS[inner.value]})",))
        if self._accept("("):
            found = self.either()
            self._accept(")")
            return found
        word = self._next()
        if self.at < len(self.tokens) and self.tokens[self.at] in ("=", "!=", "<", ">", "<=", ">="):
            return self._comparison(word)
        if word.startswith("$"):
            return Outcome(2)
        value = _VALUES.get(self._value(word), 0)
        return Outcome(value, () if value == 2 else (f"{word} ({_WORDS[value]})",))

    def _comparison(self, left: str) -> Outcome:
        operator, right = self._next(), self._next()
        one, other = self._value(left), self._value(right)
        # Numbers are versions of compilers, which are not options.
        holds = operator not in ("=", "!=") or (one == other) == (operator == "=")
        return Outcome(2) if holds else Outcome(0, (f"{left} {operator} {right} ({left}={one})",))

    def _value(self, word: str) -> str:
        if word[0] in "\"'":
            return word[1:-1]
        if word in _VALUES:
            return word
        return self.values.get(word, "n").strip('"')

    def _accept(self, token: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == token:
            self.at += 1
            return True
        return False

    def _next(self) -> str:
        self.at += 1
        return self.tokens[self.at - 1]
