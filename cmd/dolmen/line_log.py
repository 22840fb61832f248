"""Print progress as lines for pipes, logs and CI: one line per finished task.

A task that takes longer also gets a line from time to time, as a sign of life.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass, field

from assembler.events import Event, LogMessage, TaskAdvanced, TaskEnded, TaskStarted, WarningEmitted
from assembler.printable import cut_middle, printable
from assembler.quantities import size_text
from dolmen.output import print_note, print_program_line, show_diagnostics
from dolmen.wrapping import columns_of, shorten_hashes

# The interval in seconds between lines of a long task.
_INTERVAL = 10.0
_MIN_TITLE = 8


@dataclass(slots=True)
class _Running:
    started: TaskStarted
    since: float
    done: int = 0
    last_line: float = 0.0


@dataclass(slots=True)
class LineLog:
    """A reporter that writes a line per finished task to standard error."""

    verbosity: int = 0
    color: bool = field(default=False, kw_only=True)
    # Used with a live display: only finished tasks are printed, with short names.
    beside_display: bool = field(default=False, kw_only=True)
    _running: dict[int, _Running] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    # The time of the last line of the log.
    _quiet_since: float = 0.0

    def emit(self, event: Event) -> None:
        """Print the event."""
        with self._lock:
            if not self.beside_display:
                self._heartbeat()
            match event:
                case TaskStarted():
                    now = time.monotonic()
                    self._running[event.task] = _Running(event, now, last_line=now)
                case TaskAdvanced():
                    self._advanced(event)
                case TaskEnded():
                    self._ended(event)
                case LogMessage():
                    if event.level <= self.verbosity:
                        self._log(event)
                case WarningEmitted():
                    if self.verbosity >= 0:
                        show_diagnostics([event.diagnostic], color=self.color)

    def _log(self, event: LogMessage) -> None:
        self._quiet_since = time.monotonic()
        if event.from_program:
            print_program_line(event.message, color=self.color)
        else:
            print_note(event.message)

    def _advanced(self, event: TaskAdvanced) -> None:
        running = self._running.get(event.task)
        if running is not None:
            running.done = event.done

    def _heartbeat(self) -> None:
        """Print a line for each long task; tasks that wait for another one have no news."""
        now = time.monotonic()
        for running in self._running.values():
            if now - max(running.last_line, self._quiet_since) > _INTERVAL:
                running.last_line = now
                amount = f"{self._progress(running)}, " if running.done else ""
                self._line(f"{running.started.title}: {amount}{now - running.since:.0f}s")

    def _ended(self, event: TaskEnded) -> None:
        running = self._running.pop(event.task, None)
        if running is None:
            return
        seconds = time.monotonic() - running.since
        amount = f" {self._amount(running, running.done)}" if running.done else ""
        rest = f": {event.outcome}{amount} in {seconds:.1f}s"
        self._line(f"{self._title(running, len(rest))}{rest}")

    def _title(self, running: _Running, rest: int) -> str:
        """Return the title; beside a display, the line fits the terminal."""
        title = running.started.title
        if not self.beside_display:
            return title
        columns = columns_of(sys.stderr)
        title = printable(shorten_hashes(title))
        return cut_middle(title, max(_MIN_TITLE, columns - 1 - rest)) if columns else title

    def _progress(self, running: _Running) -> str:
        total = running.started.total
        share = f" of {self._amount(running, total)}" if total else ""
        return f"{self._amount(running, running.done)}{share}"

    def _amount(self, running: _Running, amount: int) -> str:
        unit = running.started.unit
        return size_text(amount) if unit == "B" else f"{amount} {unit}"

    def _line(self, text: str) -> None:
        if self.verbosity >= 0:
            print_note(text)
