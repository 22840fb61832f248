"""Signals as something a loop can wait for: the first asks to end, the second means at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The signals that came, and a handle that becomes readable when one does."""

    def __init__(self) -> None:
        """Prepare the handle."""
        self.came: list[int] = []
        self.handle, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        os.set_blocking(self.handle, False)

    def note(self, number: int, _frame: FrameType | None = None) -> None:
        """Take a signal."""
        self.came.append(number)
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def drain(self) -> None:
        """Make the handle unreadable until the next signal."""
        with suppress(BlockingIOError):
            os.read(self.handle, 4096)

    def close(self) -> None:
        """Close the handle."""
        os.close(self.handle)
        os.close(self._writer)


@contextmanager
def watched() -> Iterator[Interrupts]:
    """Collect signals during the block instead of ending by them."""
    interrupts = Interrupts()
    before = {s: signal.signal(s, interrupts.note) for s in _SIGNALS}
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interrupts.close()
