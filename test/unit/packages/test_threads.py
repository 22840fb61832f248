"""Jobs in several threads: their order, and how an error ends them."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from assembler.packages.dependency_pool import Cancellation, run_in_order
from assembler.tools import cancellation, execution

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_job_runs_after_the_jobs_it_needs(jobs: int) -> None:
    needs = {"top": {"a", "b"}, "a": {"base"}, "b": {"base"}, "base": set[str](), "alone": set()}
    order: list[str] = []

    def work(key: str, _: Cancellation) -> str:
        order.append(key)
        return key.upper()

    assert run_in_order(needs, work, jobs) == {key: key.upper() for key in needs}
    for key, before in needs.items():
        assert all(order.index(b) < order.index(key) for b in before)


def test_independent_jobs_run_in_parallel() -> None:
    both = threading.Barrier(2, timeout=30)

    def work(_: str, __: Cancellation) -> int:
        return both.wait()

    assert sorted(run_in_order({"a": (), "b": ()}, work, 2).values()) == [0, 1]


def test_an_exception_stops_running_programs_and_is_raised_again() -> None:
    events: list[str] = []
    started = threading.Event()

    def work(key: str, cancel: Cancellation) -> None:
        if key == "wrong":
            started.wait(30)
            raise KeyError(key)
        started.set()
        try:
            execution.run_program(SLEEP, {})
        except BaseException as error:
            events.append(type(error).__name__)
            # Programs for cleaning up run to their end.
            with cancellation.without_cancellation():
                events.append(
                    execution.run_program([sys.executable, "-c", "print(1)"], {}).output.decode()
                )
            with pytest.raises(cancellation.Cancelled):
                execution.run_program(SLEEP, {})
            with pytest.raises(cancellation.Cancelled):
                cancel.check()
            raise

    began = time.monotonic()
    with pytest.raises(KeyError):
        run_in_order({"wrong": (), "running": (), "never": ("wrong",)}, work, 2)
    assert time.monotonic() - began < 30
    assert events == ["Cancelled", "1\n"]
