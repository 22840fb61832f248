"""Turn signals into input for a selector, with a self-pipe."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalPipe:
    """The received signals, and a pipe that becomes readable when one arrives."""

    def __init__(self) -> None:
        """Open the pipe."""
        self.received: list[int] = []
        self.reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        os.set_blocking(self.reader, False)

    def record(self, number: int, _frame: FrameType | None = None) -> None:
        """Record a signal."""
        self.received.append(number)
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def drain(self) -> None:
        """Empty the pipe until the next signal."""
        with suppress(BlockingIOError):
            os.read(self.reader, 4096)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self.reader)
        os.close(self._writer)


@contextmanager
def catch_signals() -> Iterator[SignalPipe]:
    """Record signals during the block instead of ending the process."""
    pipe = SignalPipe()
    before = {s: signal.signal(s, pipe.record) for s in _SIGNALS}
    try:
        yield pipe
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        pipe.close()
