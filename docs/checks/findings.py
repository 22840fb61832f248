"""A finding, and where it is in a file."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One mistake, at a line and a column that count from 1."""

    path: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        """Return it as compilers print mistakes."""
        return f"{self.path}:{self.line}:{self.column}: {self.message}"


class Lines:
    """The beginnings of a source's lines, to find the line of an offset and the reverse."""

    def __init__(self, source: str) -> None:
        """Find all lines; only a newline ends one, as for editors and compilers."""
        self.starts = [0]
        self.starts += [at + 1 for at, character in enumerate(source) if character == "\n"]

    def place(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        line = bisect_right(self.starts, offset)
        return line, offset - self.starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """Return the offset of a line, from 1, and a column, from 0."""
        return self.starts[line - 1] + column
