"""Threads that repeat a short task, and pause while processes are forked."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_running: set[PeriodicThread] = set()


class PeriodicThread:
    """Call a function at intervals in a thread until it is stopped."""

    def __init__(self, task: Callable[[], None], interval: float, name: str) -> None:
        """Set up the thread; `start` starts it."""
        self._task = task
        self._interval = interval
        self._name = name
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        _running.add(self)
        self._resume()

    def stop(self) -> None:
        """Stop the thread, and wait for its end."""
        _running.discard(self)
        self._pause()

    def _resume(self) -> None:
        self._ended.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def _pause(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            self._task()


@contextmanager
def paused_threads() -> Iterator[None]:
    """Pause all periodic threads: a fork copies the locks that other threads hold."""
    paused = list(_running)
    for thread in paused:
        thread._pause()  # noqa: SLF001 - of this module
    try:
        yield
    finally:
        for thread in paused:
            if thread in _running:
                thread._resume()  # noqa: SLF001
