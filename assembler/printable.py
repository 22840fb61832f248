"""Text of others, such as names in images, made safe for terminals and logs.

A terminal obeys control characters, a newline forges a line of a log, and a bidirectional override
shows a name as another one. They are shown as escapes: `\\x1b`, `\\n`, `\\u202e`.
"""

from __future__ import annotations

import re

# The greatest lengths of a line of a message, and of a result.
MAX_MESSAGE_LINE = 1000
MAX_RESULT_LINE = 4096

_ELLIPSIS = "…"
_SHORT_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# A byte of a file name that is not UTF-8 is a surrogate of this range in Python.
_BYTE_SURROGATES = range(0xDC80, 0xDD00)
# Patterns are compiled at their first use, as most commands need none.
_UNSAFE_IN_DOCUMENTS = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
_SGR = "(\x1b\\[[0-9;:]*m)"
# CSI sequences; OSC, DCS and other strings with their terminators; other escapes.
_SEQUENCES = (
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]"
)
_SGR_RESET = "\x1b[0m"


def printable(text: str, limit: int = 0) -> str:
    """Return the text as one line without control characters; a `limit` cuts it in the middle."""
    if limit and len(text) > limit:
        text = cut_middle(text, limit)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def printable_document(text: str) -> str:
    """Return a text of several lines without control characters; newlines and tabs stay."""
    return re.sub(_UNSAFE_IN_DOCUMENTS, lambda found: _escape(found[0]), text)


def program_line(line: str, *, color: bool = False) -> str:
    """Return a line that a program printed, without control sequences; `color` keeps colors."""
    line = line.expandtabs()
    if line.isprintable():
        return line
    pieces = re.split(_SGR, line)
    # Every second piece is a separator.
    shown = [
        piece if number % 2 else printable(re.sub(_SEQUENCES, "", piece))
        for number, piece in enumerate(pieces)
        if color or not number % 2
    ]
    return "".join(shown) + (_SGR_RESET if color and len(pieces) > 1 else "")


def cut_middle(text: str, width: int) -> str:
    """Return the text with an ellipsis for its middle if it is longer than `width`."""
    if len(text) <= width:
        return text
    kept = max(0, width - 1)
    tail = kept // 2
    return text[: kept - tail] + _ELLIPSIS + text[len(text) - tail :]


def _escape(character: str) -> str:
    number = ord(character)
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    if number in _BYTE_SURROGATES:
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
