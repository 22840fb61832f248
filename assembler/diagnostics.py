"""Diagnostics: a code, a place, a message and hints about one mistake.

A `SourceText` is the text of a file, a `Place` is a range of one line in it, and a `Diagnostic`
describes a mistake at a place. `render` returns plain text; the command line colours the pieces of
`styled_pieces`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from assembler.printable import MAX_MESSAGE_LINE, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.codes import Code

_MAX_EXCERPT_WIDTH = 160
# A message with more lines is cut.
_MAX_MESSAGE_LINES = 60
# Deeper than hints and excerpts, so that no line of a message looks like another part.
_MESSAGE_INDENT, _HINT_INDENT = " " * 4, " " * 8


class Severity(StrEnum):
    """The severity of a diagnostic: an error ends the run, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class SourceText:
    """A text with the name that users know it by, such as a path or a URL."""

    name: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1, or an empty text after the last line."""
        # Not splitlines(): it splits at characters that are not line ends in YAML and in editors.
        lines = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True)
class Place:
    """A place in a source text; lines and columns are counted from 1, in characters."""

    source: SourceText
    line: int = 0
    column: int = 0
    length: int = 1

    def __str__(self) -> str:
        """Return the form that editors and terminals recognize as a link."""
        if not self.line:
            return self.source.name
        return f"{self.source.name}:{self.line}:{self.column}"

    def part(self, text: str) -> Place:
        """Return the place of the last occurrence of `text` in this place; else this place."""
        start = self.column - 1
        found = self.source.line(self.line).rfind(text, start, start + self.length) if text else -1
        return replace(self, column=found + 1, length=len(text)) if found >= 0 else self


@dataclass(frozen=True)
class Remark:
    """A message about a second place that explains the first, such as the earlier definition."""

    message: str
    place: Place


@dataclass(frozen=True)
class Diagnostic:
    """A mistake or a suspicious value, described for the user."""

    code: Code
    message: str
    place: Place | None = None
    hints: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    severity: Severity = Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form for editors and other programs."""
        return {
            "code": str(self.code),
            "severity": str(self.severity),
            "message": self.message,
            **_place_json(self.place),
            "hints": list(self.hints),
            "related": [{"message": r.message, **_place_json(r.place)} for r in self.remarks],
        }


def in_line_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Group diagnostics by file, each file sorted by line; those without a file stay in order."""
    groups: dict[object, list[Diagnostic]] = {}
    for number, diagnostic in enumerate(diagnostics):
        place = diagnostic.place
        groups.setdefault(place.source.name if place else number, []).append(diagnostic)
    return [d for group in groups.values() for d in sorted(group, key=_line_and_column)]


def _line_and_column(diagnostic: Diagnostic) -> tuple[int, int]:
    place = diagnostic.place
    return (place.line, place.column) if place is not None else (0, 0)


def _place_json(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"file": None, "line": None, "column": None, "endColumn": None}
    has_line = bool(place.line)
    return {
        "file": place.source.name,
        "line": place.line if has_line else None,
        "column": place.column if has_line else None,
        "endColumn": place.column + place.length if has_line else None,
    }


class TextStyle(StrEnum):
    """The style of a piece of a rendered diagnostic, which determines its colour."""

    PLACE = "place"
    ERROR = "error"
    WARNING = "warning"
    MESSAGE = "message"
    MARGIN = "margin"
    CARET = "caret"
    HINT = "hint"
    TEXT = "text"


def styled_diagnostic(diagnostic: Diagnostic) -> Iterator[tuple[TextStyle, str]]:
    """Yield the pieces of the rendered diagnostic with their styles, including line ends.

    Control characters are escaped, as names and texts of others are in all parts.
    """
    d = diagnostic
    if d.place is not None:
        yield TextStyle.PLACE, f"{printable(str(d.place), MAX_MESSAGE_LINE)}: "
    style = TextStyle.ERROR if d.severity is Severity.ERROR else TextStyle.WARNING
    yield style, f"{d.severity}[{d.code}]"
    first, *more = _printable_lines(d.message)
    yield TextStyle.MESSAGE, f": {first}\n"
    for line in more:
        yield TextStyle.MESSAGE, f"{_MESSAGE_INDENT}{line}\n"
    if d.place is not None:
        yield from _excerpt(d.place)
    for remark in d.remarks:
        yield TextStyle.PLACE, f"  {printable(str(remark.place), MAX_MESSAGE_LINE)}: "
        yield TextStyle.MESSAGE, f"{printable(remark.message, MAX_MESSAGE_LINE)}\n"
        yield from _excerpt(remark.place)
    for hint in d.hints:
        first, *more = _printable_lines(hint)
        yield TextStyle.HINT, "  hint: "
        yield TextStyle.TEXT, first + "\n"
        for line in more:
            yield TextStyle.TEXT, f"{_HINT_INDENT}{line}\n"


def render(diagnostic: Diagnostic) -> str:
    """Return the diagnostic as plain text that ends with a newline."""
    return "".join(text for _, text in styled_diagnostic(diagnostic))


def _printable_lines(text: str) -> list[str]:
    """Return the lines of a message, escaped and cut; there is at least one."""
    lines = text.rstrip("\n").split("\n")
    if len(lines) > _MAX_MESSAGE_LINES:
        lines = [*lines[: _MAX_MESSAGE_LINES - 1], "…"]
    return [printable(line.expandtabs(), MAX_MESSAGE_LINE) for line in lines]


def _excerpt(place: Place) -> Iterator[tuple[TextStyle, str]]:
    line = place.source.line(place.line)
    if not place.line or not line.strip():
        return
    start = place.column - 1
    excerpt, start = _window(line, start)
    length = max(1, min(place.length, len(excerpt) - start))
    number = str(place.line)
    yield TextStyle.MARGIN, f"  {number} | "
    yield TextStyle.TEXT, _printable(excerpt) + "\n"
    yield TextStyle.MARGIN, f"  {' ' * len(number)} | "
    before, marked = _printable(excerpt[:start]), _printable(excerpt[start : start + length])
    yield TextStyle.CARET, " " * _width(before) + "^" * max(1, _width(marked)) + "\n"


def _window(line: str, start: int) -> tuple[str, int]:
    """Cut a long line to the part around `start`; return it and the new index of `start`."""
    if len(line) <= _MAX_EXCERPT_WIDTH:
        return line, start
    left = max(0, min(start - _MAX_EXCERPT_WIDTH // 2, len(line) - _MAX_EXCERPT_WIDTH))
    right = left + _MAX_EXCERPT_WIDTH
    cut = line[left:right]
    lead = "… " if left else ""
    return lead + cut + (" …" if right < len(line) else ""), start - left + len(lead)


def _printable(text: str) -> str:
    """Escape unprintable characters; a tab becomes one space."""
    return printable(text.replace("\t", " "))


def _width(text: str) -> int:
    """Return the width of the text in terminal columns."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
