"""The result of a run: how it ended, and why a machine did not come up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.diagnostics import Diagnostic
from assembler.machine.diagnosis import diagnose_console, last_lines
from assembler.machine.yaml_places import yaml_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.machine.description import Machine


class RunOutcome(StrEnum):
    """The ways in which a run ends."""

    # The machine ended by itself, and nothing was waited for.
    ENDED = "ended"
    # The text and the ports that were waited for came.
    READY = "ready"
    # They did not come in time.
    TIMED_OUT = "timed-out"
    # The kernel or the firmware gave up before they came.
    GAVE_UP = "gave-up"
    # The machine ended before they came.
    ENDED_EARLY = "ended-early"
    # Somebody asked for the end.
    STOPPED = "stopped"
    # The machine was started and left running; nothing was waited for.
    STARTED = "started"


_SUCCESSES = (RunOutcome.ENDED, RunOutcome.READY, RunOutcome.STARTED)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run."""

    name: str
    outcome: RunOutcome
    # Since the start of the machine.
    seconds: float = 0.0
    # The end of the console, as plain text.
    console: str = ""
    # The signal that asked for the end, if the outcome is STOPPED.
    signal: int = 0
    # What went wrong, and the known causes.
    diagnostics: tuple[Diagnostic, ...] = ()
    # Whether the machine goes on.
    running: bool = False

    @property
    def succeeded(self) -> bool:
        """Tell whether the machine was ready, ended by itself, or was left running."""
        return self.outcome in _SUCCESSES

    @property
    def console_tail(self) -> list[str]:
        """Return the last lines of the console that say something."""
        return last_lines(self.console)


def failure_diagnostics(
    outcome: RunOutcome, seconds: float, console: str, machine: Machine, files: Sequence[str]
) -> tuple[Diagnostic, ...]:
    """Return what went wrong in a run that failed, and its known causes."""
    if outcome is RunOutcome.TIMED_OUT:
        failure = Diagnostic(codes.WAIT_FAILED, f"not ready after {seconds:.0f} s")
    else:
        verb = "gave up" if outcome is RunOutcome.GAVE_UP else "ended"
        message = f"the machine {verb} after {seconds:.0f} s, before it was ready"
        failure = Diagnostic(codes.MACHINE_ENDED, message)
    return (failure, *console_diagnostics(console, machine, files))


def console_diagnostics(
    console: str, machine: Machine, files: Sequence[str]
) -> tuple[Diagnostic, ...]:
    """Return the known causes of what a console says, at their places in the YAML files."""
    return tuple(
        finding.diagnostic(yaml_place(files, finding.keys))
        for finding in diagnose_console(console, machine)
    )
