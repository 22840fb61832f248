"""Running jobs in several processes; an interrupt leaves nothing behind.

Workers get the numbers of jobs through a pipe, and answer with an empty message or a pickled error.
They ignore Ctrl-C, which the terminal sends to all processes: the parent terminates them, and they
clean up.
"""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from assembler.codes import output as codes
from assembler.encode.worker_start import NoInterpreterError, start_process
from assembler.errors import DolmenError, HostError
from assembler.periodic_threads import paused_threads
from assembler.swallowed_signals import handle_swallowed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.encode.worker_start import Work

_LENGTH = struct.Struct("<I")
# The order to end.
_END = 0xFFFFFFFF
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# mallopt(3): the largest block that comes from the heap, and how much free heap is kept.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = (-3, 16 << 20), (-1, 64 << 20)


@dataclass(slots=True)
class _Worker:
    """A child process, and the pipes to and from it."""

    pid: int
    orders: int
    answers: int
    job: int | None = None


def run_in_workers(
    count: int,
    work: Work,
    workers: int,
    done: Callable[[int], None],
) -> None:
    """Do the work for 0 … count-1 in this order, `workers` at a time; report each to `done`.

    The first error stops the other workers and is raised. The work must be picklable for workers
    in a process that has threads.
    """
    team: list[_Worker] = []
    try:
        if workers > 1 and count > 1:
            with paused_threads():
                _start_team(team, work, min(workers, count))
        if team:
            _lead(team, count, done)
            return
    finally:
        _end(team)
    for number in range(count):
        work(number)
        done(number)


def _start_team(team: list[_Worker], work: Work, size: int) -> None:
    """Start up to `size` workers; none if this process cannot start its interpreter."""
    for _ in range(size):
        try:
            team.append(_start(work, team))
        except NoInterpreterError:
            return


def _lead(team: list[_Worker], count: int, done: Callable[[int], None]) -> None:
    numbers = iter(range(count))
    by_answers = {w.answers: w for w in team}
    for worker in team:
        _order(worker, next(numbers, None))
    while any(w.job is not None for w in team):
        busy = [w.answers for w in team if w.job is not None]
        for handle in select.select(busy, [], [])[0]:
            worker = by_answers[handle]
            error = _answer(worker)
            if error is not None:
                raise error
            if worker.job is not None:
                done(worker.job)
            _order(worker, next(numbers, None))


def _order(worker: _Worker, number: int | None) -> None:
    worker.job = number
    if number is not None:
        os.write(worker.orders, _LENGTH.pack(number))


def _answer(worker: _Worker) -> BaseException | None:
    """Read a worker's answer: None, or the error of its job."""
    head = _read(worker.answers, _LENGTH.size)
    body = _read(worker.answers, _LENGTH.unpack(head)[0]) if head is not None else None
    if body is None:
        return HostError.of(
            codes.WORKER_DIED,
            "a worker process ended unexpectedly, perhaps because memory ran out",
            "use `--jobs 1` to work without worker processes",
        )
    if not body:
        return None
    kind, content = pickle.loads(body)  # noqa: S301 - from our own child
    if issubclass(kind, DolmenError):
        error: BaseException = kind(content)
        return error
    return content if isinstance(content, BaseException) else RuntimeError(content)


def _read(handle: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        part = os.read(handle, size - len(data))
        if not part:
            return None
        data += part
    return data


def _start(work: Work, others: Sequence[_Worker]) -> _Worker:
    orders_in, orders_out = os.pipe()
    answers_in, answers_out = os.pipe()
    not_mine = [orders_out, answers_in]
    not_mine += [handle for other in others for handle in (other.orders, other.answers)]
    # Block signals until the child has its own handlers: Ctrl-C would reach it, too.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        pid = start_process(serve_jobs, work, (orders_in, answers_out), not_mine)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(orders_in)
        os.close(answers_out)
    return _Worker(pid, orders_out, answers_in)


def _end(team: Sequence[_Worker]) -> None:
    for worker in team:
        if worker.job is not None:
            with suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGTERM)
        else:
            # The end of the pipe alone is not enough: workers of other threads may have it open.
            with suppress(BrokenPipeError):
                os.write(worker.orders, _LENGTH.pack(_END))
        os.close(worker.orders)
    for worker in team:
        with suppress(ChildProcessError):
            os.waitpid(worker.pid, 0)
        os.close(worker.answers)


class _Stopped(BaseException):
    """The parent stops this worker."""


def serve_jobs(work: Work, orders: int, answers: int) -> NoReturn:
    """Run as a worker; never return into the code of the parent."""
    status = 1
    try:
        with suppress(_Stopped, BrokenPipeError):
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, _stop)
            handle_swallowed({_Stopped: signal.SIGTERM})
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            _keep_memory()
            _carry_out(work, orders, answers)
            status = 0
        # The parent stops a worker only once: now, or with `_Stopped` before the end of this.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    except BaseException:  # noqa: S110 - the parent sees the status
        pass
    finally:
        os._exit(status)


def _carry_out(work: Work, orders: int, answers: int) -> None:
    """Do the ordered jobs, and answer each, until there are no more orders."""
    while (order := _read(orders, _LENGTH.size)) is not None:
        (number,) = _LENGTH.unpack(order)
        if number == _END:
            return
        body = b""
        try:
            work(number)
        except DolmenError as error:
            body = pickle.dumps((type(error), error.diagnostics))
        except Exception as error:
            body = _pickled(error)
        os.write(answers, _LENGTH.pack(len(body)) + body)


def _keep_memory() -> None:
    """Reuse memory for buffers instead of requesting it from the kernel each time.

    Jobs make millions of small objects and no cycles, so garbage collection finds nothing.
    """
    gc.disable()
    import ctypes  # noqa: PLC0415 - only in workers

    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            mallopt(parameter, value)


def _stop(_signal: int, _frame: object) -> NoReturn:
    raise _Stopped


def _pickled(error: Exception) -> bytes:
    import traceback  # noqa: PLC0415 - for bugs only

    text = "".join(traceback.format_exception(error))
    error.add_note("in a worker process:\n" + text)
    try:
        body = pickle.dumps((type(error), error))
        pickle.loads(body)  # noqa: S301
    except Exception:
        body = pickle.dumps((RuntimeError, text))
    return body
