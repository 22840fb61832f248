"""Running an external program with bounds: of its output, of its time, and of its environment."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.errors import HostError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_CHUNK = 1 << 16
_LAST_LINES = 12
_LARGEST_TAIL = 8 << 10


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What a program may use before it is stopped."""

    seconds: float = 300.0
    output: int = 256 << 20


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """How a program ended, and what it said."""

    status: int
    output: bytes = field(repr=False)
    errors: str = field(repr=False)


def run(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    limits: RunLimits = RunLimits(),
    given: bytes = b"",
    take: Callable[[bytes], object] | None = None,
    directory: Path | None = None,
) -> ProcessResult:
    """Run a program to its end, with its output in memory.

    With `take`, everything it prints is handed over as it comes, errors in their order.

    The program is in a group of its own, so that whatever stops us stops its children as well.
    """
    pieces: list[bytes] = []
    start = _Start(tuple(command), environment, given, directory, together=take is not None)
    status, errors = _watched(start, limits, take or pieces.append)
    return ProcessResult(status, b"".join(pieces), errors)


def failed(command: Sequence[str | Path], outcome: ProcessResult, *hints: str) -> HostError:
    """Say which program failed, how it can be run again, and what its last words were."""
    said = outcome.errors or outcome.output[-_LARGEST_TAIL:].decode("utf-8", "replace")
    last = "\n".join(said.rstrip().splitlines()[-_LAST_LINES:])
    program = os.path.basename(command[0])  # noqa: PTH119 - may be text
    how = f"by signal {-outcome.status}" if outcome.status < 0 else f"with {outcome.status}"
    return HostError.of(
        host.TOOL_FAILED,
        f"{program} ended {how}" + (f":\n{last}" if last else ""),
        "it was run as: " + shlex.join(str(c) for c in command),
        *hints,
    )


class Cancelled(BaseException):
    """The run was interrupted while this thread was at work; it never leaves the run."""


class Cancellation:
    """What stops the programs that the threads of a run have started, and starts no others."""

    def __init__(self) -> None:
        """Begin with nothing running."""
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def stop(self) -> None:
        """Stop everything, now and later."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def check(self) -> None:
        """End the thread if the run was interrupted."""
        if self._stopped:
            raise Cancelled

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Make programs that the block starts end when the run is stopped."""
        token = _halt.set(self)
        try:
            yield
        finally:
            _halt.reset(token)

    @contextmanager
    def watching(self, process: subprocess.Popen[bytes]) -> Iterator[None]:
        """Stop the process with the run; a run that is stopped ends the thread behind it."""
        with self._lock:
            self._running.add(process)
            if self._stopped:
                _kill(process)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(process)
        self.check()


# Of each thread: programs are started deep below those who know of the run.
_halt: ContextVar[Cancellation | None] = ContextVar("halt", default=None)


@contextmanager
def clearing_away() -> Iterator[None]:
    """Let programs in the block run to their end although the run was stopped."""
    token = _halt.set(None)
    try:
        yield
    finally:
        _halt.reset(token)


@dataclass(frozen=True, slots=True)
class _Start:
    """A program to be started, and what it is given."""

    command: tuple[str | Path, ...]
    environment: Mapping[str, str]
    given: bytes
    directory: Path | None
    together: bool = False


def _watched(start: _Start, limits: RunLimits, take: Callable[[bytes], object]) -> tuple[int, str]:
    command = start.command
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as standard_input:
        standard_input.write(start.given)
        standard_input.seek(0)
        with wrap_os_errors(str(command[0]), "run"):
            process = subprocess.Popen(
                command,
                stdin=standard_input,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if start.together else errors,
                env=dict(start.environment),
                cwd=start.directory,
                bufsize=0,
                start_new_session=True,
            )
        stop = threading.Timer(limits.seconds, _kill, [process])
        stop.daemon = True
        stop.start()
        halt = _halt.get()
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            with halt.watching(process) if halt is not None else nullcontext():
                _drain(process.stdout, command, limits, take)
                status = process.wait()
            late = not stop.is_alive() and status == -signal.SIGKILL
        finally:
            stop.cancel()
            if process.poll() is None:
                _kill(process)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if late:
            raise HostError.of(
                host.TOOL_FAILED,
                f"{command[0]} did not end within {limits.seconds:.0f} s and was stopped",
                "it was run as: " + shlex.join(str(c) for c in command),
            )
        return status, _tail(errors)


def _drain(
    stream: IO[bytes],
    command: Sequence[str | Path],
    limits: RunLimits,
    take: Callable[[bytes], object],
) -> None:
    left = limits.output
    while chunk := os.read(stream.fileno(), _CHUNK):
        left -= len(chunk)
        if left < 0:
            raise HostError.of(
                host.TOOL_FAILED,
                f"{command[0]} printed more than {limits.output >> 20} MiB and was stopped",
                "it was run as: " + shlex.join(str(c) for c in command),
            )
        take(chunk)


def _tail(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _LARGEST_TAIL))
    return errors.read().decode("utf-8", "replace")


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        process.kill()
