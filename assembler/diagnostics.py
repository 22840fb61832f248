"""What is said about a mistake: its place, the excerpt, what is wrong, what would be right.

A text is a `Source`; a `Place` is a stretch of one line in it; a `Diagnostic` says what is wrong
there. Nothing here knows YAML, terminals or colours: `render` gives the plain text, and the
command line may give the same parts a colour.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.codes import Code

_WIDEST_EXCERPT = 160


class Severity(StrEnum):
    """How bad it is: an error ends the run, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class SourceText:
    """A text that mistakes can be in, under the name its reader knows it by."""

    name: str
    text: str = field(repr=False)

    def line(self, number: int) -> str:
        """Return line `number`, counted from 1, or an empty text past the end."""
        # Not splitlines(): YAML and editors know no other line ends than these.
        lines = self.text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a source something stands; lines and columns count characters from 1."""

    source: SourceText
    line: int = 0
    column: int = 0
    length: int = 1

    def __str__(self) -> str:
        """Return the form that editors and terminals make a link of."""
        if not self.line:
            return self.source.name
        return f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Remark:
    """A further place that explains the first one, as "already used here"."""

    message: str
    place: Place


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong, or at least doubtful, in the words of its reader."""

    code: Code
    message: str
    place: Place | None = None
    hints: tuple[str, ...] = ()
    remarks: tuple[Remark, ...] = ()
    severity: Severity = Severity.ERROR

    def as_json(self) -> dict[str, Any]:
        """Return the form for editors and bots."""
        return {
            "code": str(self.code),
            "severity": str(self.severity),
            "message": self.message,
            **_place_json(self.place),
            "hints": list(self.hints),
            "related": [{"message": r.message, **_place_json(r.place)} for r in self.remarks],
        }


def _place_json(place: Place | None) -> dict[str, Any]:
    if place is None:
        return {"file": None, "line": None, "column": None, "endColumn": None}
    known = bool(place.line)
    return {
        "file": place.source.name,
        "line": place.line if known else None,
        "column": place.column if known else None,
        "endColumn": place.column + place.length if known else None,
    }


class TextStyle(StrEnum):
    """What a piece of a rendered diagnostic is, so that it can be given a colour."""

    PLACE = "place"
    ERROR = "error"
    WARNING = "warning"
    MESSAGE = "message"
    MARGIN = "margin"
    CARET = "caret"
    HINT = "hint"
    TEXT = "text"


def styled_pieces(diagnostic: Diagnostic) -> Iterator[tuple[TextStyle, str]]:
    """Yield the rendered diagnostic in pieces, line ends included."""
    d = diagnostic
    if d.place is not None:
        yield TextStyle.PLACE, f"{d.place}: "
    role = TextStyle.ERROR if d.severity is Severity.ERROR else TextStyle.WARNING
    yield role, f"{d.severity}[{d.code}]"
    yield TextStyle.MESSAGE, f": {d.message}\n"
    if d.place is not None:
        yield from _excerpt(d.place)
    for remark in d.remarks:
        yield TextStyle.PLACE, f"  {remark.place}: "
        yield TextStyle.MESSAGE, f"{remark.message}\n"
        yield from _excerpt(remark.place)
    for hint in d.hints:
        first, *more = hint.splitlines() or [""]
        yield TextStyle.HINT, "  hint: "
        yield TextStyle.TEXT, first + "\n"
        for line in more:
            yield TextStyle.TEXT, f"        {line}\n"


def render(diagnostic: Diagnostic) -> str:
    """Return the diagnostic as plain text, ending with a line end."""
    return "".join(text for _, text in styled_pieces(diagnostic))


def _excerpt(place: Place) -> Iterator[tuple[TextStyle, str]]:
    line = place.source.line(place.line)
    if not place.line or not line.strip():
        return
    start = place.column - 1
    shown, start = _window(line, start)
    length = max(1, min(place.length, len(shown) - start))
    number = str(place.line)
    yield TextStyle.MARGIN, f"  {number} | "
    yield TextStyle.TEXT, _printable(shown) + "\n"
    yield TextStyle.MARGIN, f"  {' ' * len(number)} | "
    before, under = _printable(shown[:start]), _printable(shown[start : start + length])
    yield TextStyle.CARET, " " * _width(before) + "^" * max(1, _width(under)) + "\n"


def _window(line: str, start: int) -> tuple[str, int]:
    """Cut a very long line down to what stands around `start`."""
    if len(line) <= _WIDEST_EXCERPT:
        return line, start
    left = max(0, min(start - _WIDEST_EXCERPT // 2, len(line) - _WIDEST_EXCERPT))
    right = left + _WIDEST_EXCERPT
    cut = line[left:right]
    lead = "… " if left else ""
    return lead + cut + (" …" if right < len(line) else ""), start - left + len(lead)


def _printable(text: str) -> str:
    """Replace what would upset a terminal; a tab becomes one space so that carets fit."""
    return "".join(
        " " if c == "\t" else c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def _width(text: str) -> int:
    """Return how many columns of a terminal the text takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )
