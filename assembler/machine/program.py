"""The program that runs a machine: start it, and stop it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.backend import CONTROL_SOCKET, Command
from assembler.machine.companions import Companion, Companions, start_companions
from assembler.machine.control import Control, ControlError
from assembler.machine.launching import launch
from assembler.machine.processes import Process

_STARTING = 20.0
_LOG = "program.log"
# Seconds that a killed process may take to end.
_ENDING = 5.0
_MOMENT = 0.02


class MachineProgram:
    """The program of a machine, started by this process."""

    def __init__(
        self,
        program: subprocess.Popen[bytes],
        folder: Path,
        control: Control,
        companions: Companions,
    ) -> None:
        """Hold the program, which waits for `go`."""
        self.program = program
        self.folder = folder
        self.control = control
        self.companions = companions
        self.process = Process.of(program.pid)

    @property
    def ended(self) -> bool:
        """Tell whether the program has ended."""
        return self.program.poll() is not None

    def go(self) -> None:
        """Let the machine run."""
        with suppress(ControlError):
            self.control.execute("cont")

    def log(self) -> str:
        """Return what the program itself has printed."""
        return _read_log(self.folder)

    def press_power_button(self) -> None:
        """Ask the guest to shut down."""
        with suppress(ControlError):
            self.control.power_button()

    def end(self) -> None:
        """End the machine at once."""
        if not self.ended:
            self.control.quit()
            with suppress(subprocess.TimeoutExpired):
                self.program.wait(_ENDING)
        if not self.ended:
            self.program.kill()
            self.program.wait()
        self.control.close()
        self.companions.end()


def start_program(
    command: Command,
    folder: Path,
    *,
    with_us: bool,
    companions: Sequence[Companion] = (),
    handles: Sequence[int] = (),
) -> MachineProgram:
    """Start the program of a machine, after its companions.

    With `with_us` they end with this process. `handles` are open files that the command names.
    """
    started = start_companions(companions, folder, with_us=with_us)
    try:
        with wrap_os_errors(folder), (folder / _LOG).open("wb") as log:
            program = launch(command.words, folder, log, with_us=with_us, handles=handles)
        try:
            control = _connect_control(program, folder, command)
        except BaseException:
            program.kill()
            program.wait()
            started.check()
            raise
    except BaseException:
        started.end()
        raise
    return MachineProgram(program, folder, control, started)


def _connect_control(program: subprocess.Popen[bytes], folder: Path, command: Command) -> Control:
    deadline = time.monotonic() + _STARTING
    while True:
        if program.poll() is not None:
            raise MachineError.of(
                codes.CANNOT_START,
                f"{command.program.name} ended with code {program.returncode}",
                *_explanation(_read_log(folder)),
            )
        try:
            return Control(folder, CONTROL_SOCKET)
        except ControlError as error:
            if time.monotonic() > deadline:
                raise MachineError.of(
                    codes.CANNOT_START, f"{command.program.name} does not answer: {error}"
                ) from error
        time.sleep(_MOMENT)


def _read_log(folder: Path) -> str:
    try:
        return (folder / _LOG).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _explanation(log: str) -> list[str]:
    lines = [line.partition(": ")[2] or line for line in log.splitlines()[-5:]]
    return lines or ["it said nothing"]


def stop_program(folder: Path, process: Process, timeout: float) -> bool:
    """Stop a machine that another process has started; tell whether the guest shut down.

    The guest is asked first, and has `timeout` seconds.
    """
    try:
        with Control(folder, CONTROL_SOCKET) as control:
            if timeout > 0:
                control.power_button()
                if _wait_for_end(process, timeout):
                    return True
            control.quit()
    except ControlError:
        pass
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        # Another process may have the number by now.
        if number is not None and process.alive:
            with suppress(ProcessLookupError):
                os.kill(process.number, number)
        if _wait_for_end(process, _ENDING):
            break
    return False


def _wait_for_end(process: Process, timeout: float) -> bool:
    deadline = time.monotonic() + timeout
    while process.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_MOMENT)
    return True
