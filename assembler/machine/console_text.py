"""The output of consoles and services as plain text."""

from __future__ import annotations

import re

# Escape sequences of terminals.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])")
# The size of the console's end that is searched for texts.
_BUFFER_SIZE = 64 << 10


def plain_text(data: bytes) -> str:
    """Return the output of a console as text without escape sequences."""
    text = _ESCAPES.sub(b"", data).decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "")


class ConsoleBuffer:
    """The end of a console's output."""

    def __init__(self) -> None:
        """Make an empty buffer."""
        self._data = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Add output."""
        self.total += len(data)
        self._data += data
        if len(self._data) > 2 * _BUFFER_SIZE:
            del self._data[:-_BUFFER_SIZE]

    def text(self) -> str:
        """Return the buffer as plain text."""
        return plain_text(bytes(self._data))
