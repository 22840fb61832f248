"""Starting a machine's program, and ending it in order."""

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
from assembler.machine.companions import Companion, Companions, start_all
from assembler.machine.control import Control, ControlError
from assembler.machine.processes import Process
from assembler.machine.together import launch

_STARTING = 20.0
_LOG = "program.log"
# How long a process may take to disappear that was told to end at once.
_ENDING = 5.0
_MOMENT = 0.02


class Running:
    """A machine's program that this process has started."""

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
        """Tell whether the program is over."""
        return self.program.poll() is not None

    def go(self) -> None:
        """Let the machine run."""
        with suppress(ControlError):
            self.control.execute("cont")

    def said(self) -> str:
        """Return what the program itself had to say."""
        return _log_of(self.folder)

    def press_power_button(self) -> None:
        """Ask the guest to end."""
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


def start(
    command: Command,
    folder: Path,
    *,
    with_us: bool,
    beside: Sequence[Companion] = (),
    handles: Sequence[int] = (),
) -> Running:
    """Start the program of a machine, and those beside it.

    `with_us` if they must not outlive this process; `handles` are open files that the
    command names.
    """
    companions = start_all(beside, folder, with_us=with_us)
    try:
        with wrap_os_errors(folder), (folder / _LOG).open("wb") as log:
            program = launch(command.words, folder, log, with_us=with_us, handles=handles)
        try:
            control = _control(program, folder, command)
        except BaseException:
            program.kill()
            program.wait()
            companions.check()
            raise
    except BaseException:
        companions.end()
        raise
    return Running(program, folder, control, companions)


def _control(program: subprocess.Popen[bytes], folder: Path, command: Command) -> Control:
    deadline = time.monotonic() + _STARTING
    while True:
        if program.poll() is not None:
            raise MachineError.of(
                codes.CANNOT_START,
                f"{command.program.name} ended with code {program.returncode}",
                *_explained(_log_of(folder)),
            )
        try:
            return Control(folder, CONTROL_SOCKET)
        except ControlError as error:
            if time.monotonic() > deadline:
                raise MachineError.of(
                    codes.CANNOT_START, f"{command.program.name} does not answer: {error}"
                ) from error
        time.sleep(_MOMENT)


def _log_of(folder: Path) -> str:
    try:
        return (folder / _LOG).read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _explained(log: str) -> list[str]:
    lines = [line.partition(": ")[2] or line for line in log.splitlines()[-5:]]
    return lines or ["it said nothing"]


def stop(folder: Path, process: Process, patience: float) -> bool:
    """End a machine that another process has started; tell whether it ended by itself.

    The guest is asked first, and has `patience` seconds.
    """
    try:
        with Control(folder, CONTROL_SOCKET) as control:
            if patience > 0:
                control.power_button()
                if _gone(process, patience):
                    return True
            control.quit()
    except ControlError:
        pass
    for number in (None, signal.SIGTERM, signal.SIGKILL):
        # Only if it is still the one we mean.
        if number is not None and process.alive:
            with suppress(ProcessLookupError):
                os.kill(process.number, number)
        if _gone(process, _ENDING):
            break
    return False


def _gone(process: Process, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while process.alive:
        if time.monotonic() > deadline:
            return False
        time.sleep(_MOMENT)
    return True
