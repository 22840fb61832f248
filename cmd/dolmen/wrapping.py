"""Lines for people on a terminal: broken between words, and long names cut in the middle."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import TextIO

from assembler.diagnostics import TextStyle

_NARROWEST = 40
_AFTER_HINT, _AFTER_MESSAGE = " " * 8, " " * 2
# The lines of an excerpt stay as they are.
_EXCERPT = {TextStyle.MARGIN, TextStyle.CARET}
_WORD = re.compile(r"\S+|\s+")
# Tags that are hashes; the beginning is enough to tell them apart.
_HASH = re.compile(r"(?<=[:@])((?:sha256:)?[0-9a-f]{12})[0-9a-f]{20,}")


def columns_of(stream: TextIO) -> int | None:
    """Return how wide the terminal is, or nothing if it is none or does not know."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return None
    return max(_NARROWEST, columns) if columns else None


def wrapped(text: str, columns: int | None) -> str:
    """Return a paragraph that fits the terminal; further lines are set off."""
    if columns is None:
        return text
    return textwrap.fill(
        text,
        columns - 1,
        subsequent_indent=_AFTER_MESSAGE,
        break_long_words=False,
        break_on_hyphens=False,
    )


def short(text: str) -> str:
    """Return a text with the beginnings of hashes only."""
    return _HASH.sub(r"\1", text)


def wrapped_pieces(
    pieces: Iterable[tuple[TextStyle, str]], columns: int | None
) -> Iterator[tuple[TextStyle, str]]:
    """Yield the pieces of a diagnostic, with messages and hints that fit the terminal."""
    if columns is None:
        yield from pieces
        return
    line: list[tuple[TextStyle, str]] = []
    for role, text in pieces:
        line.append((role, text))
        if text.endswith("\n"):
            yield from line if _EXCERPT & {r for r, _ in line} else _broken(line, columns)
            line = []
    yield from line


def _broken(line: list[tuple[TextStyle, str]], columns: int) -> Iterator[tuple[TextStyle, str]]:
    """Break a line between words, each of which stays what it was."""
    indent = _AFTER_HINT if line[0][0] in (TextStyle.HINT, TextStyle.TEXT) else _AFTER_MESSAGE
    at = 0
    for role, text in line:
        out = ""
        for word in _WORD.findall(text):
            if word.isspace():
                out += word
                at += len(word)
                continue
            if at + len(word) >= columns and at > len(indent):
                out = out.rstrip(" ") + "\n" + indent
                at = len(indent)
            out += word
            at += len(word)
        yield role, out
