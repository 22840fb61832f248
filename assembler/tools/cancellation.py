"""Cancellation: stops the programs that the threads of a run have started."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator


class Cancelled(BaseException):
    """The run was cancelled while this thread was working; the run itself catches this."""


class Cancellation:
    """Kills the programs of a run when the run is cancelled, and keeps new ones from starting."""

    def __init__(self) -> None:
        """Create a cancellation without any programs."""
        self._lock = threading.Lock()
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._cancelled = False

    def stop(self) -> None:
        """Cancel the run: kill its programs, and those that start later."""
        with self._lock:
            self._cancelled = True
            for process in self._processes:
                kill_process_group(process)

    def check(self) -> None:
        """Raise Cancelled if the run was cancelled."""
        if self._cancelled:
            raise Cancelled

    @contextmanager
    def bind_thread(self) -> Iterator[None]:
        """Track the programs that this thread starts in the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    @contextmanager
    def track(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Kill the process if the run is cancelled in the block, and then raise Cancelled."""
        with self._lock:
            self._processes.add(process)
            if self._cancelled:
                kill_process_group(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.discard(process)
        self.check()


# A context variable, since the code that starts programs does not know about runs.
_current: ContextVar[Cancellation | None] = ContextVar("cancellation", default=None)


def current_cancellation() -> Cancellation | None:
    """Return the cancellation that this thread is bound to."""
    return _current.get()


@contextmanager
def without_cancellation() -> Iterator[None]:
    """Let programs of the block, such as those that clean up, run although the run is cancelled."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


def kill_process_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a process that leads a process group, and all its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
