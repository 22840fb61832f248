"""Waits for threads and by threads, which end soon after a signal or a cancellation."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from queue import Empty
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from queue import SimpleQueue

T = TypeVar("T")

# A signal that comes just before a wait, or to another thread, is handled after this time.
_WAKE_SECONDS = 0.2
_CUT_INTERVAL = 0.1
# The running blocks of `time_limit`: their threads, and what ends them.
_limits: dict[threading.Event, tuple[int, Callable[[], object]]] = {}


def take(queue: SimpleQueue[T], check: Callable[[], object] = lambda: None) -> T:
    """Wait for an item; call `check` from time to time, which may raise.

    A wait without a timeout may miss a signal: Python runs its handler after the wait.
    """
    while True:
        try:
            return queue.get(timeout=_WAKE_SECONDS)
        except Empty:
            check()


@contextmanager
def time_limit(seconds: float, cut: Callable[[], object]) -> Iterator[threading.Event]:
    """Call `cut` if the block takes longer, which wakes it up; yield what is set then.

    A timeout of a socket starts again with each byte: it does not end an answer in small pieces.
    """
    is_cut = threading.Event()

    def end() -> None:
        is_cut.set()
        with suppress(Exception):  # the transfer may end at this moment, in any state
            cut()

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    _limits[is_cut] = (threading.get_ident(), cut)
    try:
        yield is_cut
    finally:
        del _limits[is_cut]
        timer.cancel()


def cut_and_join(threads: Sequence[threading.Thread], seconds: float) -> None:
    """Wait for threads that were asked to end; cut their transfers, which may wait for a server."""
    deadline = time.monotonic() + seconds
    for thread in threads:
        while thread.is_alive() and time.monotonic() < deadline:
            _cut_transfers({other.ident for other in threads})
            thread.join(_CUT_INTERVAL)


def _cut_transfers(threads: set[int | None]) -> None:
    for thread, cut in list(_limits.values()):
        if thread in threads:
            with suppress(Exception):  # the transfer may end at this moment, in any state
                cut()
