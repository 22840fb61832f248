"""A text that attacks terminals and logs, and the characters of an output that would let it."""

from __future__ import annotations

import re
import unicodedata

# It clears the screen, sets the title, goes back, forges lines, and reverses text.
HOSTILE = (
    "a\x1b[2J\x1b]0;owned\x07\x1b]8;;http://x\x1b\\b\x9b31m\x85\x08\x7f\r\n"
    "forged: line\nerror[DM9999]: forged\u202egnp\u2066\u2028c"
)
# The same for the name of a file.
HOSTILE_NAME = HOSTILE.replace("/", "|")
_SGR = re.compile(r"\x1b\[[0-9;]*m")
_FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def forbidden_characters(text: str, *, colors: bool = False) -> set[str]:
    """Return the control characters of an output except newlines, and colors if they are meant."""
    if colors:
        text = _SGR.sub("", text)
    return {c for c in text if c != "\n" and unicodedata.category(c) in _FORBIDDEN}
