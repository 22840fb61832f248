"""Text that images bring along, made fit for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """Return the text without control characters, which may be made to fool its reader."""
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)
