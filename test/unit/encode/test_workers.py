"""Jobs run in several processes, in order, and their errors arrive where they were started."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from assembler.codes import output as codes
from assembler.encode import worker_start
from assembler.encode.byte_sinks import ContentSummary, FileOutput
from assembler.encode.worker_processes import run_in_workers
from assembler.errors import HostError, OutputError
from assembler.periodic_threads import PeriodicThread, paused_threads
from support.worker_jobs import Fail, WriteUnderLock, lock

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork workers though the test runner has threads: the jobs are functions of a test."""
    monkeypatch.setattr(worker_start, "has_one_thread", lambda: True)


def run(count: int, workers: int, folder: Path) -> tuple[list[int], set[int]]:
    """Run jobs that write files; return the order of reports, and the processes."""
    done: list[int] = []

    def work(number: int) -> None:
        (folder / str(number)).write_text(str(os.getpid()))

    run_in_workers(count, work, workers, done.append)
    return done, {int((folder / str(n)).read_text()) for n in range(count)}


def test_one_worker_works_here_and_in_order(tmp_path: Path) -> None:
    assert run(3, 1, tmp_path) == ([0, 1, 2], {os.getpid()})
    assert run(1, 8, tmp_path) == ([0], {os.getpid()})
    assert run(2, 1, tmp_path) == ([0, 1], {os.getpid()})
    assert run(0, 8, tmp_path) == ([], set())


@pytest.mark.parametrize("workers", [2, 3, 20])
@pytest.mark.usefixtures("_forked")
def test_several_workers_do_all_jobs_once(tmp_path: Path, workers: int) -> None:
    done, processes = run(9, workers, tmp_path)
    assert sorted(done) == list(range(9))
    assert 1 <= len(processes) <= min(workers, 9)
    assert os.getpid() not in processes
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.usefixtures("_forked")
def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    run(4, 3, tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class OddError(Exception):
    """Cannot be sent to another process."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OutputError.of(codes.TOO_LARGE, "much too large"), OutputError, "much too large"),
        (ValueError("no such value"), ValueError, "no such value"),
        (OddError("odd", "ity"), RuntimeError, "OddError: oddity"),
    ],
)
@pytest.mark.usefixtures("_forked")
def test_an_error_arrives_and_stops_the_others(
    tmp_path: Path, error: Exception, kind: type[Exception], words: str
) -> None:
    def work(number: int) -> None:
        if number == 0:
            raise error
        if number == 1:
            time.sleep(60)
        (tmp_path / str(number)).touch()

    started = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        run_in_workers(4, work, 2, lambda _: None)
    assert time.monotonic() - started < 30
    assert list(tmp_path.iterdir()) == []
    if kind is ValueError:
        assert "in a worker process" in caught.value.__notes__[0]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.usefixtures("_forked")
def test_a_worker_that_is_stopped_inside_a_destructor_ends_in_silence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python swallows the exception there, and prints it."""

    class Slow:
        def __del__(self) -> None:
            (tmp_path / "in it").touch()
            time.sleep(60)

    def work(number: int) -> None:
        if number == 0:
            while not (tmp_path / "in it").exists():
                time.sleep(0.01)
            raise OutputError.of(codes.TOO_LARGE, "much too large")
        Slow()
        time.sleep(60)

    started = time.monotonic()
    with pytest.raises(OutputError):
        run_in_workers(2, work, 2, lambda _: None)
    assert time.monotonic() - started < 30
    assert capfd.readouterr().err == ""


@pytest.mark.usefixtures("_forked")
def test_a_killed_worker_is_reported() -> None:
    def work(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(HostError, match="ended unexpectedly") as caught:
        run_in_workers(2, work, 2, lambda _: None)
    assert caught.value.diagnostics[0].code is codes.WORKER_DIED


@pytest.mark.usefixtures("_forked")
def test_workers_do_not_end_by_an_interrupt(tmp_path: Path) -> None:
    """The terminal sends it to all processes; the one that started them decides."""

    def work(number: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        (tmp_path / str(number)).touch()

    run_in_workers(2, work, 2, lambda _: None)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("most", [1, 7, 1000, 5_000_000])
def test_a_write_that_takes_a_part_only_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """As a nearly full disk and a signal make it."""
    monkeypatch.setattr(os, "writev", lambda fd, pieces: os.write(fd, b"".join(pieces)[:most]))
    with (tmp_path / "out").open("wb") as file:
        output = FileOutput(file.fileno())
        for number in range(300):
            output.put(b"%04d" % number * 1000)
        output.finish()
    expected = b"".join(b"%04d" % number * 1000 for number in range(300))
    assert (tmp_path / "out").read_bytes() == expected
    assert (output.written, output.checksum) == (len(expected), ContentSummary.of(expected).crc32)


@pytest.mark.usefixtures("_forked")
def test_a_worker_that_is_stopped_while_it_ends_does_not_become_a_second_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on with the code that started it."""
    parent, end = os.getpid(), os._exit

    def stopped(status: int) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        end(status)

    monkeypatch.setattr(os, "_exit", stopped)
    try:
        run_in_workers(2, lambda _: None, 2, lambda _: None)
    finally:
        if os.getpid() != parent:
            (tmp_path / "escaped").touch()
            end(1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(30)
@pytest.mark.usefixtures("_forked")
def test_workers_end_though_others_have_inherited_their_pipes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the workers of a build in another thread do, which wait for these in turn."""
    pipe, copies = os.pipe, list[int]()

    def inherited() -> tuple[int, int]:
        reading, writing = pipe()
        copies.append(os.dup(writing))
        return reading, writing

    monkeypatch.setattr(os, "pipe", inherited)
    done: list[int] = []
    run_in_workers(5, lambda _: None, 2, done.append)
    for copy in copies:
        os.close(copy)
    assert sorted(done) == [0, 1, 2, 3, 4]


@contextmanager
def _locking_thread() -> Iterator[None]:
    """Hold the lock in another thread meanwhile."""
    locked, end = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            locked.set()
            end.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    locked.wait()
    try:
        yield
    finally:
        end.set()
        thread.join()


@pytest.mark.timeout(60)
def test_a_lock_of_another_thread_does_not_stop_workers(tmp_path: Path) -> None:
    done: list[int] = []
    with _locking_thread():
        run_in_workers(5, WriteUnderLock(tmp_path), 2, done.append)
    assert sorted(done) == list(range(5))
    assert str(os.getpid()) not in {(tmp_path / str(n)).read_text() for n in range(5)}
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.timeout(60)
def test_an_error_comes_out_of_a_new_interpreter() -> None:
    with _locking_thread(), pytest.raises(OutputError, match=r"job [01] is much too large"):
        run_in_workers(2, Fail(), 2, lambda _: None)


@pytest.mark.timeout(60)
def test_a_periodic_thread_pauses_while_workers_are_started() -> None:
    ticks: list[int] = []
    thread = PeriodicThread(lambda: ticks.append(threading.active_count()), 0.001, "ticks")
    before = threading.active_count()
    with paused_threads():
        thread.start()
    with paused_threads():
        assert threading.active_count() == before
        count = len(ticks)
    while len(ticks) == count:
        time.sleep(0.001)
    thread.stop()
    assert threading.active_count() == before


@pytest.mark.parametrize("executable", ["", "/nonexistent/python"])
def test_without_an_interpreter_one_process_does_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, executable: str
) -> None:
    """As in a program that embeds Python, or has given up the rights to start it."""
    monkeypatch.setattr(sys, "executable", executable)
    monkeypatch.setattr(worker_start, "has_one_thread", lambda: False)
    assert run(3, 2, tmp_path) == ([0, 1, 2], {os.getpid()})
