"""What is said about a machine besides its console: on standard error, in words, with exit codes.

Exit codes of `dolmen run`: 0 the machine ended by itself, or what was waited for came; 1 it could
not be started; 2 the command line makes no sense; 3 the time was over; 4 it ended or gave up
before what was waited for came; 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import Code
from assembler.codes import machine as codes
from assembler.diagnostics import Diagnostic
from assembler.errors import MachineError
from assembler.machine.backend import Command
from assembler.machine.description import KernelBoot, Machine
from assembler.machine.diagnosis import diagnose, last_lines
from assembler.machine.running import Running
from dolmen.console import show_diagnostics, size_text, wants_color
from dolmen.run import reaching
from dolmen.run.places import place_of
from dolmen.run.session import End, Outcome
from dolmen.wrapping import columns_of, wrapped

if TYPE_CHECKING:
    from dolmen.run.asked import RunOptions
    from dolmen.run.describing import Prepared
    from dolmen.settings import Settings

TIMED_OUT = 3
ENDED_EARLY = 4


class RunReporter:
    """Says things about one machine, whatever state the terminal is in."""

    def __init__(self, settings: Settings, machine: Machine, asked: RunOptions) -> None:
        """Hold what it needs to know."""
        self._settings = settings
        self._machine = machine
        self._color = wants_color(sys.stderr, settings.color)
        self.image = str(Path(asked.paths[-1]).absolute())
        self._shown = asked.paths[-1]
        self._files = asked.yaml_files
        # Whether the terminal takes line ends literally.
        self.is_raw = False

    def note(self, text: str) -> None:
        """Say something short."""
        if not self._settings.quiet:
            self._write(f"{wrapped(f'dolmen: {text}', columns_of(sys.stderr))}\n")

    def introduce(self, prepared: Prepared, command: Command, *, detached: bool) -> None:
        """Say what is about to run, and how to leave it."""
        slow = prepared.slow_because
        machine = self._machine
        sizes = ""
        if isinstance(machine.boot, KernelBoot):
            boot = machine.boot
            named = [("kernel", boot.kernel), ("initrd", boot.initrd)]
            sizes = ", ".join(f"{n} {size_text(p.stat().st_size)}" for n, p in named if p)
            sizes = f" ({sizes})"
        what = f"{machine.architecture}, {machine.cpus} cpu, {machine.memory} MB"
        self.note(f"{self._shown}{sizes} on qemu, {what}, {machine.accelerator}")
        if slow and machine.accelerator == "tcg":
            self.note(f"every instruction is emulated, which is slow ({slow})")
        if self._settings.verbosity > 0:
            self.note(shlex.join(command.words))
        for port in machine.network.ports:
            self.note(f"{port.address}:{port.host}/{port.protocol} is port {port.guest} of it")
        for note in prepared.notes:
            self.note(note)
        if prepared.ssh is not None:
            self.note(f"by ssh, as soon as it is up: dolmen ssh {machine.name}")
            words = reaching.command(prepared.ssh.folder, prepared.ssh.port.host)
            self.note(f"which is {shlex.join(words)}")
        if not detached and sys.stdin.isatty():
            self.note("Ctrl-C ends it; for the guest: Ctrl-] and c is Ctrl-C, Ctrl-] twice Ctrl-]")
        sys.stderr.flush()

    def given_up(self, text: str) -> None:
        """Say at once why kernel or firmware gave up, while the machine stays."""
        self._diagnostics(self._found(text))

    def tell(self, outcome: Outcome, running: Running) -> int:
        """Say how it came out, and return the exit code."""
        match outcome.end:
            case End.REACHED:
                return 0
            case End.STOPPED:
                return 128 + outcome.signal
            case End.BY_ITSELF:
                self._check_program(running)
                return 0
            case End.TIMED_OUT:
                seconds = f"{outcome.seconds:.0f} s"
                self._failed(codes.WAIT_FAILED, f"not ready after {seconds}", outcome)
                return TIMED_OUT
            case _:
                self._check_program(running)
                how = "gave up" if outcome.end is End.GAVE_UP else "ended"
                what = f"the machine {how} after {outcome.seconds:.0f} s, before it was ready"
                self._failed(codes.MACHINE_ENDED, what, outcome)
                return ENDED_EARLY

    def _check_program(self, running: Running) -> None:
        code = running.program.poll()
        if code:
            raise MachineError.of(
                codes.CANNOT_START,
                f"QEMU ended with code {code}",
                *(running.said().splitlines()[-5:] or ["it said nothing"]),
            )

    def _failed(self, code: Code, what: str, outcome: Outcome) -> None:
        lines = last_lines(outcome.console)
        if lines and not (sys.stdout.isatty() and sys.stderr.isatty()):
            self._write("the console's last lines:\n" + "".join(f"  {line}\n" for line in lines))
        self._diagnostics([Diagnostic(code, what), *self._found(outcome.console)])

    def _found(self, text: str) -> list[Diagnostic]:
        """Return what is known of the cause, at its place in the YAML if there is one."""
        found = diagnose(text, self._machine)
        return [f.diagnostic(place_of(self._files, f.about)) for f in found]

    def _diagnostics(self, diagnostics: list[Diagnostic]) -> None:
        text = io.StringIO()
        columns = columns_of(sys.stderr)
        show_diagnostics(diagnostics, color=self._color, stream=text, columns=columns)
        self._write(text.getvalue())

    def _write(self, text: str) -> None:
        if self.is_raw:
            text = "\r" + text.replace("\n", "\r\n")
        sys.stderr.write(text)
        sys.stderr.flush()
