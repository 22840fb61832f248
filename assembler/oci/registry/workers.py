"""Worker threads of a run, which end soon after the run is stopped."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

from assembler.errors import DolmenError, HostError
from assembler.oci.registry.retry import RunStoppedError
from assembler.thread_waits import cut_and_join, take
from assembler.tools import current_cancellation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

T = TypeVar("T")
R = TypeVar("R")

# How long all threads together may take to see that the run is stopped.
_FAREWELL_SECONDS = 2.0


class WorkDeferred(Exception):  # noqa: N818 - a message from a piece of work to the threads, not an error
    """Another process is doing this work: do it last, and wait for it then."""


@dataclass(frozen=True, slots=True)
class WorkResult(Generic[T, R]):
    """A finished piece of work, with its result or error."""

    item: T
    result: R | None = None
    error: DolmenError | None = None


def map_unordered(
    items: Iterable[T],
    work: Callable[[T, bool], R],
    jobs: int,
    stop: threading.Event,
    abort: Callable[[], None],
) -> Iterator[WorkResult[T, R]]:
    """Do `work(item, patient)` for all items in `jobs` threads, in order; yield the results.

    `work` that is not `patient` may raise Busy; it is called again, patient, when all others are
    begun. An error of one piece does not end the others, but one of this machine does: a full disk
    is full for all. If the caller stops iterating, or is interrupted, all threads are stopped.
    """
    todo = deque((item, False) for item in items)
    left = len(todo)
    done: SimpleQueue[WorkResult[T, R] | BaseException] = SimpleQueue()

    def worker() -> None:
        while not stop.is_set():
            try:
                item, patient = todo.popleft()
            except IndexError:
                return
            try:
                done.put(WorkResult(item, work(item, patient)))
            except WorkDeferred:
                todo.append((item, True))
            except HostError as error:
                done.put(error)
            except DolmenError as error:
                done.put(WorkResult(item, error=error))
            except RunStoppedError:
                return
            except BaseException as error:  # a bug; raise it in the caller
                done.put(error)
                return

    cancellation = current_cancellation()
    check = cancellation.check if cancellation is not None else lambda: None
    # Daemons: an interrupted process does not wait for a silent server.
    threads = [threading.Thread(target=worker, daemon=True) for _ in range(min(jobs, left))]
    try:
        for thread in threads:
            thread.start()
        while left:
            outcome = take(done, check)
            if isinstance(outcome, BaseException):
                raise outcome
            left -= 1
            yield outcome
    finally:
        if left:
            stop.set()
            abort()
        cut_and_join(threads, _FAREWELL_SECONDS)
