"""The execution of external programs, with limits on their output and time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.disk_space import temporary_directory
from assembler.errors import HostError, disk_full_error, wrap_os_errors
from assembler.tools.cancellation import current_cancellation, kill_process_group
from assembler.tools.watchdog import StallLimits, Watchdog, full_disk_of, last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_CHUNK_SIZE = 1 << 16
_MAX_ERROR_LINES = 12
_MAX_ERROR_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """The time and output that a program may use before it is killed."""

    seconds: float = 300.0
    output: int = 256 << 20
    stall: StallLimits = field(default_factory=StallLimits)


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """The exit status and the output of a program."""

    status: int
    output: bytes = field(repr=False)
    errors: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Invocation:
    """A program to start: command line, environment, standard input and directory."""

    command: tuple[str | Path, ...]
    environment: Mapping[str, str]
    stdin: bytes
    directory: Path | None
    merge_stderr: bool = False
    writes: tuple[Path, ...] = ()

    @property
    def hint(self) -> str:
        return _command_hint(self.command)


def run_program(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    limits: ProcessLimits = ProcessLimits(),
    stdin: bytes = b"",
    on_output: Callable[[bytes], object] | None = None,
    directory: Path | None = None,
    writes: Sequence[Path] = (),
) -> ProcessResult:
    """Run a program to its end, and return its status and output.

    With `on_output`, that function receives standard output and standard error as they come.
    `writes` are files and directories that it writes to: if it fails and the disk of one is full,
    that is the error.

    The program leads a process group of its own, so that its children are killed with it.
    """
    chunks: list[bytes] = []
    invocation = _Invocation(
        tuple(command),
        environment,
        stdin,
        directory,
        merge_stderr=on_output is not None,
        writes=tuple(writes),
    )
    status, errors = _run(invocation, limits, on_output or chunks.append)
    return ProcessResult(status, b"".join(chunks), errors)


def program_error(command: Sequence[str | Path], result: ProcessResult, *hints: str) -> HostError:
    """Return the error for a failed program, with its command line and its last lines."""
    text = result.errors or result.output[-_MAX_ERROR_BYTES:].decode("utf-8", "replace")
    last_lines = "\n".join(text.rstrip().splitlines()[-_MAX_ERROR_LINES:])
    program = os.path.basename(command[0])  # noqa: PTH119 - may be text
    status = (
        f"was killed by signal {-result.status}"
        if result.status < 0
        else f"failed with exit status {result.status}"
    )
    return HostError.of(
        host.TOOL_FAILED,
        f"{program} {status}" + (f":\n{last_lines}" if last_lines else ""),
        _command_hint(command),
        *hints,
    )


def _command_hint(command: Sequence[str | Path]) -> str:
    return "the command was: " + shlex.join(str(word) for word in command)


def _run(
    invocation: _Invocation, limits: ProcessLimits, on_output: Callable[[bytes], object]
) -> tuple[int, str]:
    command = invocation.command
    with _temporary_file() as errors, _temporary_file() as standard_input:
        with wrap_os_errors(temporary_directory()):
            standard_input.write(invocation.stdin)
            standard_input.seek(0)
        with wrap_os_errors(str(command[0]), "run"):
            process = subprocess.Popen(
                command,
                stdin=standard_input,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if invocation.merge_stderr else errors,
                env=dict(invocation.environment),
                cwd=invocation.directory,
                bufsize=0,
                start_new_session=True,
            )
        timer = threading.Timer(limits.seconds, kill_process_group, [process])
        timer.daemon = True
        timer.start()
        cancellation = current_cancellation()
        watchdog = Watchdog(command, process, limits.stall, invocation.writes, errors.fileno())
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe, see above
            with (
                cancellation.track(process) if cancellation is not None else nullcontext(),
                watchdog.watch(),
            ):
                _read_output(process.stdout, invocation, limits, on_output, watchdog)
                status = process.wait()
            timed_out = not timer.is_alive() and status == -signal.SIGKILL
        finally:
            timer.cancel()
            if process.poll() is None:
                kill_process_group(process)
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if timed_out:
            raise HostError.of(
                host.TOOL_FAILED,
                f"{command[0]} did not end within {limits.seconds:.0f} s and was killed",
                invocation.hint,
            )
        text = _tail(errors)
        if status:
            _check_disks(invocation, watchdog.last_output.decode("utf-8", "replace") + text)
        return status, text


@contextmanager
def _temporary_file() -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        with wrap_os_errors(temporary_directory()):
            file = stack.enter_context(tempfile.TemporaryFile())
        yield file


def _check_disks(invocation: _Invocation, output: str) -> None:
    """Raise the error for a full disk if that is why a program failed."""
    full = full_disk_of(invocation.writes, output)
    if full is not None:
        program = os.path.basename(invocation.command[0])  # noqa: PTH119 - may be text
        last = last_lines(output.encode())
        raise disk_full_error(f"{program} failed" + (f":\n{last}" if last else ""), full)


def _read_output(
    stream: IO[bytes],
    invocation: _Invocation,
    limits: ProcessLimits,
    on_output: Callable[[bytes], object],
    watchdog: Watchdog,
) -> None:
    remaining = limits.output
    while chunk := os.read(stream.fileno(), _CHUNK_SIZE):
        watchdog.see(chunk)
        remaining -= len(chunk)
        if remaining < 0:
            raise HostError.of(
                host.TOOL_FAILED,
                f"{invocation.command[0]} printed more than {limits.output >> 20} MiB "
                "and was killed",
                invocation.hint,
            )
        on_output(chunk)


def _tail(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _MAX_ERROR_BYTES))
    return errors.read().decode("utf-8", "replace")
