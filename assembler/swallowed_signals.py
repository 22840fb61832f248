"""Signals whose exception Python swallows: they are handled again a moment later.

The handler of a signal may run inside a destructor. Python prints an exception that leaves a
destructor, and goes on: Ctrl-C would have no effect, or a worker would not stop.
"""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The signal arrives at a safe place with high probability, and without a noticeable delay.
_MOMENT = 0.01


class _Hook:
    """Replaces `sys.unraisablehook`."""

    def __init__(self, signals: Mapping[type[BaseException], int]) -> None:
        self._signals = signals
        self._before = sys.unraisablehook
        self._is_running = False

    def __call__(self, swallowed: sys.UnraisableHookArgs) -> None:
        self._is_running = True
        for kind, number in self._signals.items():
            if issubclass(swallowed.exc_type, kind):
                self._send_later(number)
                break
        else:
            self._before(swallowed)
        self._is_running = False

    def _send_later(self, number: int) -> None:
        handler = signal.getsignal(number)

        def handle(_alarm: int, frame: object) -> None:
            if self._is_running:
                signal.setitimer(signal.ITIMER_REAL, _MOMENT)
            elif callable(handler):
                handler(number, frame)  # type: ignore[arg-type]  # a frame or None

        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, _MOMENT)


def handle_swallowed(signals: Mapping[type[BaseException], int]) -> None:
    """Handle a signal again if a destructor swallows the exception that its handler raises."""
    sys.unraisablehook = _Hook(signals)
