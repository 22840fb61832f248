"""Worker threads end soon after a signal, whichever thread the system gives it to."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from assembler.oci import map_unordered
from assembler.packages.dependency_pool import Cancellation, run_in_order
from assembler.tools import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator


class TerminatedError(Exception):
    """The signal was handled."""


@pytest.fixture(autouse=True)
def _terminated() -> Iterator[None]:
    def handle(*_: object) -> None:
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, handle)
    yield
    signal.signal(signal.SIGTERM, before)


def signal_this_thread() -> None:
    """Note the signal without waking the main thread, as if it came just before the wait."""
    time.sleep(0.1)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)


def test_a_signal_that_does_not_wake_the_main_thread() -> None:
    stop = threading.Event()

    def work(_: int, __: object) -> None:
        signal_this_thread()
        stop.wait(10)

    began = time.monotonic()
    with pytest.raises(TerminatedError):
        list(map_unordered([1], work, 1, stop, lambda: None))
    assert time.monotonic() - began < 2


def test_a_signal_that_does_not_wake_the_main_thread_of_jobs() -> None:
    ended = []

    def work(key: str, cancellation: Cancellation) -> None:
        if key == "a":
            signal_this_thread()
        for _ in range(100):
            time.sleep(0.1)
            try:
                cancellation.check()
            except Cancelled:
                ended.append(key)
                raise

    began = time.monotonic()
    with pytest.raises(TerminatedError):
        run_in_order({"a": (), "b": ()}, work, 2)
    assert time.monotonic() - began < 2
    assert sorted(ended) == ["a", "b"]


def test_cancelled_jobs_stop_their_workers() -> None:
    stops = {"a": threading.Event(), "b": threading.Event()}

    def work(key: str, _: Cancellation) -> None:
        def wait(_: int, __: object) -> None:
            stops[key].wait(10)

        list(map_unordered([1], wait, 1, stops[key], lambda: None))

    timer = threading.Timer(0.2, signal_this_thread)
    timer.start()
    began = time.monotonic()
    with pytest.raises(TerminatedError):
        run_in_order({"a": (), "b": ()}, work, 2)
    assert time.monotonic() - began < 2
    assert all(stop.is_set() for stop in stops.values())


def test_a_signal_while_the_threads_start(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, start, started = threading.Event(), threading.Thread.start, []

    def start_one(thread: threading.Thread) -> None:
        if started:
            raise TerminatedError
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_one)
    with pytest.raises(TerminatedError):
        list(map_unordered([1, 2], lambda *_: stop.wait(10), 2, stop, lambda: None))
    assert stop.is_set()
    assert not started[0].is_alive()
