"""Programs beside a machine's own, such as those that share folders or are its TPM."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.backend import Command
from assembler.machine.control import socket_path
from assembler.machine.launching import launch
from assembler.machine.processes import Process

# Stands for the number of the listening socket among the arguments.
HANDLE = "{handle}"
_STARTING = 10.0
_ENDING = 2.0
_MOMENT = 0.02
_LOG = "{}.log"


@dataclass(frozen=True, slots=True)
class Companion:
    """A program that serves a machine over a socket, and ends when the machine hangs up."""

    name: str
    command: Command
    # In the machine's directory. Made by us if the arguments have HANDLE, else by the program; one
    # without a socket is not waited for.
    socket: str

    @property
    def takes_handle(self) -> bool:
        """Tell whether it is given the listening socket."""
        return any(HANDLE in a for a in self.command.arguments)


class Companions:
    """Those that this process has started for a machine."""

    def __init__(
        self, started: Sequence[tuple[Companion, subprocess.Popen[bytes]]], folder: Path
    ) -> None:
        """Hold them."""
        self._started = tuple(started)
        self._folder = folder
        self.processes = tuple(Process.of(program.pid) for _, program in started)

    def check(self) -> None:
        """Raise an error if one of them has failed, which is why the machine did, too."""
        for companion, program in self._started:
            code = program.poll()
            if code:
                raise _failed(companion, code, self._folder)

    def end(self) -> None:
        """Wait for those that end with the machine, and end the others."""
        deadline = time.monotonic() + _ENDING
        for companion, program in self._started:
            if not companion.socket:
                # No one hangs up on it.
                program.terminate()
            with suppress(subprocess.TimeoutExpired):
                program.wait(max(0.0, deadline - time.monotonic()))
            if program.poll() is None:
                program.kill()
                program.wait()


def start_companions(wanted: Sequence[Companion], folder: Path, *, with_us: bool) -> Companions:
    """Start them; each is ready for the machine when this returns."""
    started: list[tuple[Companion, subprocess.Popen[bytes]]] = []
    try:
        for companion in wanted:
            program = _start(companion, folder, with_us=with_us)
            started.append((companion, program))
            _wait(companion, program, folder)
    except BaseException:
        for _, program in started:
            program.kill()
            program.wait()
        raise
    return Companions(started, folder)


def end_companions(processes: Sequence[Process]) -> None:
    """End those of another process's machine that did not end with it."""
    deadline = time.monotonic() + _ENDING
    for process in processes:
        while process.alive and time.monotonic() < deadline:
            time.sleep(_MOMENT)
        if process.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.number, signal.SIGKILL)


def _start(companion: Companion, folder: Path, *, with_us: bool) -> subprocess.Popen[bytes]:
    path = folder / _LOG.format(companion.name)
    with wrap_os_errors(folder), path.open("wb") as log, _listening(companion, folder) as handles:
        words = [w.replace(HANDLE, str(*handles)) for w in companion.command.words]
        return launch(words, folder, log, with_us=with_us, handles=handles)


@contextmanager
def _listening(companion: Companion, folder: Path) -> Iterator[tuple[int, ...]]:
    if not companion.takes_handle:
        yield ()
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        with socket_path(folder, companion.socket) as place:
            listening.bind(place)
        listening.listen(1)
        yield (listening.fileno(),)


def _wait(companion: Companion, program: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until it listens: until then its socket is not there."""
    deadline = time.monotonic() + _STARTING
    while not companion.takes_handle and not (folder / companion.socket).exists():
        code = program.poll()
        if code is not None or time.monotonic() > deadline:
            raise _failed(companion, code, folder)
        time.sleep(_MOMENT)


def _failed(companion: Companion, code: int | None, folder: Path) -> MachineError:
    said = (folder / _LOG.format(companion.name)).read_text("utf-8", "replace").splitlines()
    what = "does not answer" if code is None else f"ended with code {code}"
    return MachineError.of(
        codes.CANNOT_START,
        f"{companion.command.program.name} {what}",
        *(said[-3:] or ["it said nothing"]),
    )
