"""The frames that the host and the agent in the guest exchange; docs/agent.md describes them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL = 1
HEADER_SIZE = 8
MAX_PAYLOAD = 16 << 10
# So many zeros in a row are in no frame: they end whatever came before.
RESET = bytes(HEADER_SIZE + MAX_PAYLOAD)
# What may be sent without having been told that it was used.
INPUT_WINDOW = 64 << 10


class FrameKind(IntEnum):
    """The kinds of frames; a zero is padding between frames."""

    HELLO = 0x01
    REQUEST = 0x02
    INPUT = 0x03
    SIGNAL = 0x04
    SIZE = 0x05
    STARTED = 0x10
    OUTPUT = 0x11
    ERRORS = 0x12
    CREDIT = 0x13
    END = 0x14


class FrameError(Exception):
    """The other side sent something that is not a frame."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: its kind, which may be unknown, and its payload."""

    kind: int
    payload: bytes


def encode_frame(kind: FrameKind, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a frame has at most {MAX_PAYLOAD} bytes, not {len(payload)}")
    head = bytes([kind]) + len(payload).to_bytes(3, "big")
    return head + zlib.crc32(head + payload).to_bytes(4, "big") + payload


class FrameParser:
    """Cuts the bytes of the guest into frames; it holds at most one frame."""

    def __init__(self) -> None:
        """Begin at the boundary of a frame."""
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield the frames that are whole by now; raise FrameError at the first damage."""
        self._pending += data
        at = 0
        try:
            while True:
                while at < len(self._pending) and not self._pending[at]:
                    at += 1
                frame = self._frame(at)
                if frame is None:
                    return
                at += HEADER_SIZE + len(frame.payload)
                yield frame
        finally:
            del self._pending[:at]

    def _frame(self, at: int) -> Frame | None:
        head = self._pending[at : at + 4]
        length = int.from_bytes(head[1:], "big")
        if len(head) == 4 and length > MAX_PAYLOAD:
            raise FrameError(f"a frame of {length} bytes")
        end = at + HEADER_SIZE + length
        if len(head) < 4 or len(self._pending) < end:
            return None
        payload = bytes(self._pending[at + HEADER_SIZE : end])
        checksum = int.from_bytes(self._pending[at + 4 : at + HEADER_SIZE], "big")
        if checksum != zlib.crc32(bytes(head) + payload):
            raise FrameError("a frame with a wrong checksum")
        return Frame(head[0], payload)
