"""What checks look at in a file: its prose, and the code that the prose quotes.

Both are masks of the source with the same length, so that an offset in them is one in the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checks.findings import Finding, Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

# Characters of masks: what does not belong to the text, and a value that is filled in later.
OUTSIDE, VALUE = "\0", "\1"
_CODE = re.compile(r"(?<!`)(`+)(?!`)((?:[^`\0]|(?!\1)`+)*?[^`\0])\1(?!`)")
_PARAGRAPH_END = re.compile(r"\n[ \t]*\n")
_EXCUSE = re.compile(r"(?:#|<!--)[^\n]*?\b(names|words): ok\b")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of quoted code: text between backticks, or a fenced block of lines."""

    start: int
    text: str
    is_block: bool = False


@dataclass(slots=True)
class Text:
    """A file as checks see it."""

    path: str
    source: str
    prose: str
    spans: list[Span] = field(default_factory=list)
    # Lines of which names or words are excused.
    excused: dict[str, set[int]] = field(default_factory=dict)
    # The source without code and comments, in which links stand; only of Markdown.
    linked: str = ""
    is_generated: bool = False
    lines: Lines = field(init=False)

    def __post_init__(self) -> None:
        """Find the lines and the excuses."""
        self.lines = Lines(self.source)
        for found in _EXCUSE.finditer(self.source):
            line, _ = self.lines.place(found.start())
            self.excused.setdefault(found[1], set()).add(line)

    def finding(self, kind: str, offset: int, message: str) -> Iterator[Finding]:
        """Yield a finding, unless its line is excused from findings of this kind."""
        line, column = self.lines.place(offset)
        if line not in self.excused.get(kind, ()):
            yield Finding(self.path, line, column, message)


def blank(text: str, filler: str = OUTSIDE) -> str:
    """Return a mask of the same length that keeps only the ends of lines."""
    return re.sub(r"[^\n]", filler, text)


def quoted(prose: str) -> Iterator[Span]:
    """Yield what stands between backticks, which never goes beyond a paragraph."""
    start = 0
    while start < len(prose):
        end = _PARAGRAPH_END.search(prose, start)
        stop = end.start() + 1 if end else len(prose)
        for found in _CODE.finditer(prose, start, stop):
            yield Span(found.start(2), found[2])
        start = stop


def without_code(prose: str, filler: str = OUTSIDE) -> str:
    """Return prose without what stands between backticks."""
    pieces, at = [], 0
    for span in quoted(prose):
        pieces += [prose[at : span.start], blank(span.text, filler)]
        at = span.start + len(span.text)
    return "".join([*pieces, prose[at:]])
