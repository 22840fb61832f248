"""The result of a run: its outcome, and diagnostics of a failure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from assembler.codes import machine as codes
from assembler.diagnostics import Diagnostic
from assembler.machine.backend import CONSOLE_LOG
from assembler.machine.console_diagnosis import diagnose_console, find_crash_loop, last_lines
from assembler.machine.yaml_places import yaml_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.machine.description import Machine
    from assembler.machine.records import RecordedMachine


class RunOutcome(StrEnum):
    """How a run ended."""

    # The machine ended by itself; the run had no wait condition.
    ENDED = "ended"
    # The wait condition was met.
    READY = "ready"
    # The wait condition was not met in time.
    TIMED_OUT = "timed-out"
    # The kernel panicked, or the firmware found no boot device, before that.
    GAVE_UP = "gave-up"
    # A service ended again and again, before that.
    CRASH_LOOP = "crash-loop"
    # The machine ended before the wait condition was met.
    ENDED_EARLY = "ended-early"
    # The user stopped the machine.
    STOPPED = "stopped"
    # The machine was started and left running, without a wait condition.
    STARTED = "started"


_SUCCESSFUL = (RunOutcome.ENDED, RunOutcome.READY, RunOutcome.STARTED)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run."""

    name: str
    outcome: RunOutcome
    # Since the start of the machine.
    seconds: float = 0.0
    # The end of the console, as plain text.
    console: str = ""
    # The signal that stopped the run, if the outcome is STOPPED.
    signal: int = 0
    # The failure, and its known causes.
    diagnostics: tuple[Diagnostic, ...] = ()
    # Whether the machine is still running.
    running: bool = False
    # The machine's run record, and its directory, which remains only if it is running.
    machine: RecordedMachine | None = None

    @property
    def succeeded(self) -> bool:
        """Tell whether the machine was ready, ended by itself, or was left running."""
        return self.outcome in _SUCCESSFUL

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts."""
        facts: dict[str, Any] = {}
        if self.machine is not None:
            record = self.machine.record
            facts = {
                "image": record.image,
                "pid": record.process.number,
                "architecture": record.architecture,
                "accelerator": record.accelerator,
                "memory": record.memory,
                "cpus": record.cpus,
                "ports": list(record.ports),
                "ssh": record.ssh or None,
                "started": record.started,
                "consoleLog": str(self.machine.folder / CONSOLE_LOG) if self.running else None,
            }
        return {
            "name": self.name,
            "outcome": str(self.outcome),
            "running": self.running,
            "seconds": round(self.seconds, 1),
            "signal": self.signal or None,
            **facts,
            "consoleTail": self.console_tail,
            "errors": [d.as_json() for d in self.diagnostics],
        }

    @property
    def console_tail(self) -> list[str]:
        """Return the last lines of the console that are not empty."""
        return last_lines(self.console)


def failure_diagnostics(
    outcome: RunOutcome,
    seconds: float,
    console: str,
    machine: Machine,
    files: Sequence[str],
    unmet: Sequence[str] = (),
) -> tuple[Diagnostic, ...]:
    """Return the failure of a run, and its known causes; `unmet` are the conditions not met."""
    if outcome is RunOutcome.TIMED_OUT:
        why = f": {'; '.join(unmet)}" if unmet else ""
        failure = Diagnostic(codes.WAIT_FAILED, f"not ready after {seconds:.0f} s{why}")
    elif outcome is RunOutcome.CRASH_LOOP and (loop := find_crash_loop(console)) is not None:
        message = f"gave up after {seconds:.0f} s: the service {loop.name} ends again and again"
        said = "\n".join(("its last lines:", *loop.last_lines))
        hints = (said,) if loop.last_lines else ("it printed nothing",)
        failure = Diagnostic(codes.WAIT_FAILED, message, hints=hints)
    else:
        problem = "the boot failed" if outcome is RunOutcome.GAVE_UP else "the machine ended"
        message = f"{problem} after {seconds:.0f} s, before it was ready"
        failure = Diagnostic(codes.MACHINE_ENDED, message)
    return (failure, *console_diagnostics(console, machine, files))


def console_diagnostics(
    console: str, machine: Machine, files: Sequence[str]
) -> tuple[Diagnostic, ...]:
    """Return the known causes in a console's output, with their places in the YAML files."""
    return tuple(
        finding.diagnostic(yaml_place(files, finding.keys))
        for finding in diagnose_console(console, machine)
    )
