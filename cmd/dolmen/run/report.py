"""Report a run on standard error, also while the terminal is raw, and return its exit code.

Exit codes of `dolmen run`: 0 the machine ended by itself or became ready; 1 it could not be
started; 2 an invalid command line; 3 it did not become ready in time; 4 it ended, panicked or found
no boot device, or a service ended again and again, before it was ready; 130 interrupted, 143
terminated.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.events import Event, LogMessage, WarningEmitted
from assembler.machine import RunOutcome
from assembler.printable import MAX_MESSAGE_LINE, printable
from dolmen.output import show_diagnostics, wants_color, write_escaped
from dolmen.wrapping import columns_of, wrap_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.diagnostics import Diagnostic
    from assembler.machine import RunResult
    from dolmen.run.terminal_console import SignalConsole
    from dolmen.settings import Settings

_EXIT_CODES = {
    RunOutcome.TIMED_OUT: 3,
    RunOutcome.GAVE_UP: 4,
    RunOutcome.ENDED_EARLY: 4,
    RunOutcome.CRASH_LOOP: 4,
}


@dataclass(frozen=True, slots=True)
class RunReporter:
    """A reporter that writes messages as lines, and warnings as diagnostics."""

    settings: Settings
    console: SignalConsole

    def emit(self, event: Event) -> None:
        """Write an event."""
        match event:
            case LogMessage() if event.level <= self.settings.verbosity:
                self._write(run_message(event.message))
            case WarningEmitted():
                self._show_diagnostics([event.diagnostic])

    def show_result(self, result: RunResult) -> int:
        """Write the failure of a run, if there is one, and return the exit code."""
        if result.outcome is RunOutcome.STOPPED:
            return 128 + result.signal
        if result.diagnostics:
            lines = result.console_tail
            if lines and not (sys.stdout.isatty() and sys.stderr.isatty()):
                tail = "".join(f"  {printable(line, MAX_MESSAGE_LINE)}\n" for line in lines)
                self._write(f"the console's last lines:\n{tail}")
            self._show_diagnostics(result.diagnostics)
        return _EXIT_CODES.get(result.outcome, 0)

    def _show_diagnostics(self, diagnostics: Sequence[Diagnostic]) -> None:
        text = io.StringIO()
        color = wants_color(sys.stderr, self.settings.color)
        show_diagnostics(diagnostics, color=color, stream=text, columns=columns_of(sys.stderr))
        self._write(text.getvalue())

    def _write(self, text: str) -> None:
        write_escaped(text, raw_terminal=self.console.is_raw)


def failure_json(diagnostics: Sequence[Diagnostic]) -> dict[str, Any]:
    """Return the JSON of a machine that was not started."""
    errors = [d.as_json() for d in diagnostics]
    return {"outcome": "not-started", "running": False, "errors": errors}


def run_message(text: str) -> str:
    """Return a message as a line, wrapped to the terminal's width."""
    line = printable(f"dolmen: {text}", MAX_MESSAGE_LINE)
    return f"{wrap_text(line, columns_of(sys.stderr))}\n"
