"""Jobs with dependencies, run in parallel where possible."""

from __future__ import annotations

import threading
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from assembler.thread_waits import cut_and_join, take
from assembler.tools import Cancellation, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

K = TypeVar("K")
R = TypeVar("R")

# How long an interrupted run waits for its threads.
_JOIN_SECONDS = 20.0


def run_in_order(
    needs: Mapping[K, Collection[K]], work: Callable[[K, Cancellation], R], jobs: int
) -> dict[K, R]:
    """Run `work` for each key after all keys that it needs, in up to `jobs` threads.

    An exception ends the run: running programs are stopped, no more work starts, and the exception
    is raised again when the threads have cleaned up.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    results: dict[K, R] = {}
    cancellation = Cancellation()
    if jobs < 2 or len(needs) < 2:
        # In the main thread, which receives signals.
        while sorter.is_active():
            for key in sorter.get_ready():
                results[key] = work(key, cancellation)
                sorter.done(key)
        return results
    done: SimpleQueue[tuple[K, BaseException | None]] = SimpleQueue()
    threads: list[threading.Thread] = []
    ready: list[K] = []
    running = 0

    def run(key: K) -> None:
        try:
            with cancellation.bind_thread():
                results[key] = work(key, cancellation)
            done.put((key, None))
        except BaseException as error:
            # Raised again in the waiting thread.
            done.put((key, error))

    try:
        while sorter.is_active():
            ready += sorter.get_ready()
            while ready and running < jobs:
                # A daemon thread never keeps the process alive.
                thread = threading.Thread(target=run, args=(ready.pop(0),), daemon=True)
                threads.append(thread)
                thread.start()
                running += 1
            key, error = take(done)
            running -= 1
            if error is not None:
                raise error
            sorter.done(key)
    except BaseException:
        cancellation.stop()
        cut_and_join(threads, _JOIN_SECONDS)
        raise
    return results


__all__ = ["Cancellation", "Cancelled", "run_in_order"]
