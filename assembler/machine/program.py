"""Start and stop the backend's program, such as QEMU."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.backend import CONTROL_SOCKET, Command
from assembler.machine.helper_processes import (
    HelperProcess,
    HelperProcesses,
    start_helper_processes,
)
from assembler.machine.launcher import launch_process
from assembler.machine.process_identity import Process
from assembler.machine.qmp import QmpClient, QmpError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_START_TIMEOUT = 20.0
# What QEMU says of a file that is no kernel.
_NOT_A_KERNEL = "linux kernel too old"
_LOG = "program.log"
# Seconds that a killed process may take to end.
_EXIT_TIMEOUT = 5.0
_POLL_INTERVAL = 0.02


class MachineProgram:
    """A running program of the backend that this process has started."""

    def __init__(
        self,
        program: subprocess.Popen[bytes],
        folder: Path,
        qmp: QmpClient,
        helper_processes: HelperProcesses,
    ) -> None:
        """Hold the program, which is paused until `resume`."""
        self.program = program
        self.folder = folder
        self.qmp = qmp
        self.helper_processes = helper_processes
        self.process = Process.of(program.pid)

    @property
    def ended(self) -> bool:
        """Tell whether the program has ended."""
        return self.program.poll() is not None

    def resume(self) -> None:
        """Start the paused virtual CPUs."""
        with suppress(QmpError):
            self.qmp.execute("cont")

    def log(self) -> str:
        """Return the output of the program itself."""
        return _read_log(self.folder)

    def press_power_button(self) -> None:
        """Ask the guest to shut down."""
        with suppress(QmpError):
            self.qmp.power_button()

    def end(self) -> None:
        """End the machine at once."""
        if not self.ended:
            self.qmp.quit()
            with suppress(subprocess.TimeoutExpired):
                self.program.wait(_EXIT_TIMEOUT)
        if not self.ended:
            self.program.kill()
            self.program.wait()
        self.qmp.close()
        self.helper_processes.end()


def start_program(
    command: Command,
    folder: Path,
    *,
    die_with_parent: bool,
    helper_processes: Sequence[HelperProcess] = (),
    handles: Sequence[int] = (),
) -> MachineProgram:
    """Start the program of a machine, after its helper processes.

    With `die_with_parent` they end with this process. `handles` are file descriptors that the
    program inherits.
    """
    started = start_helper_processes(helper_processes, folder, die_with_parent=die_with_parent)
    try:
        with wrap_os_errors(folder), (folder / _LOG).open("wb") as log:
            program = launch_process(
                command.argv, folder, log, die_with_parent=die_with_parent, handles=handles
            )
        try:
            qmp = _connect_qmp(program, folder, command)
        except BaseException:
            program.kill()
            program.wait()
            started.check()
            raise
    except BaseException:
        started.end()
        raise
    return MachineProgram(program, folder, qmp, started)


def _connect_qmp(program: subprocess.Popen[bytes], folder: Path, command: Command) -> QmpClient:
    deadline = time.monotonic() + _START_TIMEOUT
    while True:
        if program.poll() is not None:
            raise MachineError.of(
                codes.CANNOT_START,
                f"{command.program.name} ended with code {program.returncode}",
                *_log_hints(_read_log(folder)),
            )
        try:
            return QmpClient(folder, CONTROL_SOCKET)
        except QmpError as error:
            if time.monotonic() > deadline:
                raise MachineError.of(
                    codes.CANNOT_START, f"{command.program.name} does not answer: {error}"
                ) from error
        time.sleep(_POLL_INTERVAL)


def _read_log(folder: Path) -> str:
    try:
        return (folder / _LOG).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _log_hints(log: str) -> list[str]:
    lines = [line.partition(": ")[2] or line for line in log.splitlines()[-5:]]
    if any(_NOT_A_KERNEL in line for line in lines):
        return [f"its last lines: {'; '.join(lines)}", "is the kernel a Linux kernel for PCs?"]
    return [f"its last lines: {'; '.join(lines)}"] if lines else ["it printed nothing"]


class StopOutcome(StrEnum):
    """How a machine ended that was asked to stop."""

    ENDED_BEFORE = "ended-before"
    SHUT_DOWN = "shut-down"
    # The guest did not shut down in time, and the machine was killed.
    TIMED_OUT = "timed-out"
    KILLED = "killed"


def stop_program(folder: Path, process: Process, timeout: float) -> StopOutcome:
    """Stop a machine of another process; return how it ended.

    The power button is pressed first; after `timeout` seconds the machine is killed.
    """
    outcome = StopOutcome.KILLED
    try:
        with QmpClient(folder, CONTROL_SOCKET) as qmp:
            if timeout > 0:
                qmp.power_button()
                if _wait_for_end(process, timeout):
                    return StopOutcome.SHUT_DOWN
                outcome = StopOutcome.TIMED_OUT
            qmp.quit()
    except QmpError:
        pass
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        # Another process may have the number by now.
        if number is not None and process.alive:
            with suppress(ProcessLookupError):
                os.kill(process.number, number)
        if _wait_for_end(process, _EXIT_TIMEOUT):
            break
    return outcome


def _wait_for_end(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while process.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_INTERVAL)
    return True
