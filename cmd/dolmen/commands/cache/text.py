"""Make text from images safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Replace control characters, which could change the terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
