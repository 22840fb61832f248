"""Start and end the helper processes of a VM: virtiofsd, swtpm and dnsmasq."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.launcher import launch_process
from assembler.machine.process_identity import Process
from assembler.machine.qmp import socket_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.machine.backend import Command

# The placeholder in the arguments for the file descriptor of the listening socket.
LISTEN_FD = "{handle}"
_START_TIMEOUT = 10.0
_EXIT_TIMEOUT = 2.0
_POLL_INTERVAL = 0.02
_LOG = "{}.log"


@dataclass(frozen=True, slots=True)
class HelperProcess:
    """A program that serves a VM over a socket, and ends when QEMU closes the connection."""

    name: str
    command: Command
    # The socket's name in the machine's directory. Created here if the arguments have LISTEN_FD,
    # else by the program. Empty for a program without a socket, which is not waited for.
    socket: str

    @property
    def takes_listen_fd(self) -> bool:
        """Tell whether it inherits the listening socket."""
        return any(LISTEN_FD in a for a in self.command.arguments)


class HelperProcesses:
    """The helper processes that this process has started for a machine."""

    def __init__(
        self, started: Sequence[tuple[HelperProcess, subprocess.Popen[bytes]]], folder: Path
    ) -> None:
        """Hold the started programs."""
        self._started = tuple(started)
        self._folder = folder
        self.processes = tuple(Process.of(program.pid) for _, program in started)

    def check(self) -> None:
        """Raise an error if a helper process has failed: then QEMU failed because of it."""
        for helper, program in self._started:
            code = program.poll()
            if code:
                raise _start_error(helper, code, self._folder)

    def end(self) -> None:
        """Wait for the helper processes that end with QEMU, and end the others."""
        deadline = time.monotonic() + _EXIT_TIMEOUT
        for helper, program in self._started:
            if not helper.socket:
                # It has no connection to QEMU that would end.
                program.terminate()
            with suppress(subprocess.TimeoutExpired):
                program.wait(max(0.0, deadline - time.monotonic()))
            if program.poll() is None:
                program.kill()
                program.wait()


def start_helper_processes(
    helpers: Sequence[HelperProcess], folder: Path, *, die_with_parent: bool
) -> HelperProcesses:
    """Start the helper processes; all accept connections when this returns."""
    started: list[tuple[HelperProcess, subprocess.Popen[bytes]]] = []
    try:
        for helper in helpers:
            program = _start(helper, folder, die_with_parent=die_with_parent)
            started.append((helper, program))
            _wait_for_socket(helper, program, folder)
    except BaseException:
        for _, program in started:
            program.kill()
            program.wait()
        raise
    return HelperProcesses(started, folder)


def end_helper_processes(processes: Sequence[Process]) -> None:
    """End the helper processes of another process's machine that did not end with QEMU."""
    deadline = time.monotonic() + _EXIT_TIMEOUT
    for process in processes:
        while process.alive and time.monotonic() < deadline:
            time.sleep(_POLL_INTERVAL)
        if process.alive:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process.number, signal.SIGKILL)


def _start(
    helper: HelperProcess, folder: Path, *, die_with_parent: bool
) -> subprocess.Popen[bytes]:
    path = folder / _LOG.format(helper.name)
    with (
        wrap_os_errors(folder),
        path.open("wb") as log,
        _listening_socket(helper, folder) as handles,
    ):
        argv = [w.replace(LISTEN_FD, str(*handles)) for w in helper.command.argv]
        return launch_process(argv, folder, log, die_with_parent=die_with_parent, handles=handles)


@contextmanager
def _listening_socket(helper: HelperProcess, folder: Path) -> Iterator[tuple[int, ...]]:
    if not helper.takes_listen_fd:
        yield ()
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        with socket_path(folder, helper.socket) as path:
            listening.bind(path)
        listening.listen(1)
        yield (listening.fileno(),)


def _wait_for_socket(helper: HelperProcess, program: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the program has created its socket."""
    deadline = time.monotonic() + _START_TIMEOUT
    while not helper.takes_listen_fd and not (folder / helper.socket).exists():
        code = program.poll()
        if code is not None or time.monotonic() > deadline:
            raise _start_error(helper, code, folder)
        time.sleep(_POLL_INTERVAL)


def _start_error(helper: HelperProcess, code: int | None, folder: Path) -> MachineError:
    output = (folder / _LOG.format(helper.name)).read_text("utf-8", "replace").splitlines()
    problem = "does not answer" if code is None else f"ended with code {code}"
    return MachineError.of(
        codes.CANNOT_START,
        f"{helper.command.program.name} {problem}",
        *(output[-3:] or ["it printed nothing"]),
    )
