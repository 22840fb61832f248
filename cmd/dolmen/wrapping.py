"""Text for terminals: wrapped lines, shortened hashes."""

from __future__ import annotations

import os
import re
import textwrap
from typing import TYPE_CHECKING, TextIO

from assembler.diagnostics import TextStyle

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MIN_COLUMNS = 40
_HINT_INDENT, _MESSAGE_INDENT = " " * 8, " " * 2
# Lines of an excerpt are not wrapped.
_EXCERPT = {TextStyle.MARGIN, TextStyle.CARET}
_WORD = re.compile(r"\S+|\s+")
# Hashes in tags and digests; 12 digits are enough to tell them apart.
_HASH = re.compile(r"(?<=[:@])((?:sha256:)?[0-9a-f]{12})[0-9a-f]{20,}")


def columns_of(stream: TextIO) -> int | None:
    """Return the width of the terminal; None if there is none, or its width is unknown."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return None
    return max(_MIN_COLUMNS, columns) if columns else None


def wrap_text(text: str, columns: int | None) -> str:
    """Wrap a paragraph; continuation lines are indented."""
    if columns is None:
        return text
    return textwrap.fill(
        text,
        columns - 1,
        subsequent_indent=_MESSAGE_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )


def shorten_hashes(text: str) -> str:
    """Return a text with shortened hashes."""
    return _HASH.sub(r"\1", text)


def wrap_pieces(
    pieces: Iterable[tuple[TextStyle, str]], columns: int | None
) -> Iterator[tuple[TextStyle, str]]:
    """Yield the pieces of a diagnostic, with wrapped messages and hints."""
    if columns is None:
        yield from pieces
        return
    line: list[tuple[TextStyle, str]] = []
    for role, text in pieces:
        line.append((role, text))
        if text.endswith("\n"):
            yield from line if _EXCERPT & {r for r, _ in line} else _wrap_line(line, columns)
            line = []
    yield from line


def _wrap_line(line: list[tuple[TextStyle, str]], columns: int) -> Iterator[tuple[TextStyle, str]]:
    """Wrap a line at spaces; words keep their styles."""
    indent = _HINT_INDENT if line[0][0] in (TextStyle.HINT, TextStyle.TEXT) else _MESSAGE_INDENT
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
