"""Work that depends on other work, done side by side where it does not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import TypeVar

from assembler.tools.cancellation import Cancellation, Cancelled

K = TypeVar("K")
R = TypeVar("R")

# How long threads may take to end what they have begun when the run is interrupted.
_FAREWELL_SECONDS = 20.0


def run_in_order(
    needs: Mapping[K, Collection[K]], work: Callable[[K, Cancellation], R], jobs: int
) -> dict[K, R]:
    """Do `work` for each key after all that it needs, in up to `jobs` threads at once.

    Whatever is raised ends the run: programs that are running are stopped, nothing new is begun,
    and it is raised when the threads have cleared up after themselves.
    """
    sorter = TopologicalSorter(needs)
    sorter.prepare()
    results: dict[K, R] = {}
    halt = Cancellation()
    if jobs < 2 or len(needs) < 2:
        # In the thread that signals come to.
        while sorter.is_active():
            for key in sorter.get_ready():
                results[key] = work(key, halt)
                sorter.done(key)
        return results
    done: SimpleQueue[tuple[K, BaseException | None]] = SimpleQueue()
    threads: list[threading.Thread] = []
    ready: list[K] = []
    running = 0

    def run(key: K) -> None:
        try:
            with halt.bind_thread():
                results[key] = work(key, halt)
            done.put((key, None))
        except BaseException as error:
            # Raised again by the thread that waits.
            done.put((key, error))

    try:
        while sorter.is_active():
            ready += sorter.get_ready()
            while ready and running < jobs:
                # Daemons: nothing that goes wrong here keeps the process from ending.
                thread = threading.Thread(target=run, args=(ready.pop(0),), daemon=True)
                threads.append(thread)
                thread.start()
                running += 1
            key, error = done.get()
            running -= 1
            if error is not None:
                raise error
            sorter.done(key)
    except BaseException:
        halt.stop()
        for thread in threads:
            thread.join(_FAREWELL_SECONDS)
        raise
    return results


__all__ = ["Cancellation", "Cancelled", "run_in_order"]
