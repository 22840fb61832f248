"""Starting a worker process: forked, or as a new interpreter if this process has threads.

A forked worker need not load anything again. But a lock that another thread holds stays locked in
the child for ever, so a process with threads starts new interpreters, which get their work pickled.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = struct.Struct("<Q")
# A thread that was joined needs a moment to end.
_THREAD_ENDS = (0.0, 0.001, 0.01)
_TASKS = "/proc/self/task"
_MAIN = "from assembler.encode.worker_start import main; main({}, {}, {})"


class NoInterpreterError(Exception):
    """This process cannot start its interpreter: it embeds Python, or has given up its rights."""


class Work(Protocol):
    """What workers do, with the number of a job."""

    def __call__(self, number: int, /) -> None:
        """Do the job."""


class Serve(Protocol):
    """The life of a worker: a function of a module."""

    def __call__(self, work: Work, orders: int, answers: int) -> NoReturn:
        """Do what is ordered until the end."""


def start_process(
    serve: Serve, work: Work, handles: tuple[int, int], not_inherited: Sequence[int]
) -> int:
    """Start a process that serves with its two handles; return its process id."""
    start = _fork if has_one_thread() else _start_interpreter
    return start(serve, work, handles, not_inherited)


def has_one_thread() -> bool:
    """Tell whether this process has no other threads, so that it can fork."""
    for wait in _THREAD_ENDS:
        time.sleep(wait)
        if threading.active_count() > 1:
            return False
        try:
            if len(os.listdir(_TASKS)) == 1:  # noqa: PTH208 - each build calls it
                return True
        except OSError:
            # Without /proc, threads of libraries are not known. Those of macOS do not survive a
            # fork.
            return sys.platform == "linux"
    return False


def _fork(serve: Serve, work: Work, handles: tuple[int, int], not_inherited: Sequence[int]) -> int:
    pid = os.fork()
    if pid == 0:
        for handle in not_inherited:
            os.close(handle)
        serve(work, *handles)
    return pid


def _start_interpreter(
    serve: Serve,
    work: Work,
    handles: tuple[int, int],
    not_inherited: Sequence[int],  # noqa: ARG001 - a new program inherits only what it is given
) -> int:
    if not os.access(sys.executable, os.X_OK):
        raise NoInterpreterError(sys.executable)
    body = pickle.dumps((serve, work))
    reading, writing = os.pipe()
    passed = (reading, *handles)
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-P", "-c", _MAIN.format(*passed)],
            {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                # Onto itself: only then does the program inherit it.
                *((os.POSIX_SPAWN_DUP2, handle, handle) for handle in passed),
            ],
        )
    except BaseException:
        os.close(writing)
        raise
    finally:
        os.close(reading)
    # A worker that has ended already is noticed when it does not answer.
    with suppress(BrokenPipeError), os.fdopen(writing, "wb") as stream:
        stream.write(_LENGTH.pack(len(body)) + body)
    return pid


def main(source: int, orders: int, answers: int) -> NoReturn:
    """Run a worker in a new interpreter."""
    with os.fdopen(source, "rb") as stream:
        (length,) = _LENGTH.unpack(stream.read(_LENGTH.size))
        loaded: tuple[Serve, Work] = pickle.loads(stream.read(length))  # noqa: S301 - our parent's
    serve, work = loaded
    serve(work, orders, answers)
