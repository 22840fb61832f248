"""Deflate streams of isal whose bytes depend on the data alone.

Levels 1 and 2 of isal read a register that nothing has set when a stream begins with more than 16
bytes: what is in it depends on the addresses of the process, and sometimes a match with the first
bytes is not found. Other code of isal compresses short pieces, so a stream begins with one.
"""

from __future__ import annotations

from typing import Any

from isal import isal_zlib

# Increase it when the bytes for the same data change.
VERSION = 2
FINISH, FULL_FLUSH = 4, 3
_SYNC_FLUSH = 2
_FIRST_PIECE = 16
# The levels that need it.
_UNSTEADY = (1, 2)


class DeflateStream:
    """A compressor of isal, with zlib's arguments."""

    def __init__(self, level: int, wbits: int) -> None:
        """Start a stream: raw for -15, zlib for 15, gzip for 31."""
        self._stream: Any = isal_zlib.compressobj(level, wbits=wbits, memLevel=9)
        # The first bytes, until there are enough of them.
        self._first: bytes | None = b"" if level in _UNSTEADY else None

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        """Compress data; the output may come later."""
        if self._first is None:
            out: bytes = self._stream.compress(data)
            return out
        with memoryview(data) as view:
            count = _FIRST_PIECE - len(self._first)
            self._first += view[:count]
            if len(self._first) < _FIRST_PIECE:
                return b""
            begin: bytes = self._stream.compress(self._first) + self._stream.flush(_SYNC_FLUSH)
            self._first = None
            rest: bytes = self._stream.compress(view[count:])
            return begin + rest

    def flush(self, mode: int = FINISH) -> bytes:
        """End the stream, or a part of it."""
        first, self._first = self._first or b"", None
        out: bytes = self._stream.compress(first) + self._stream.flush(mode)
        return out


def deflate(data: bytes, level: int, wbits: int) -> bytes:
    """Return a whole stream."""
    stream = DeflateStream(level, wbits)
    return stream.compress(data) + stream.flush()
