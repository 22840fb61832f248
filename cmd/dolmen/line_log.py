"""Print progress as lines for pipes, logs and CI: one line per finished task."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from assembler.events import Event, LogMessage, TaskAdvanced, TaskEnded, TaskStarted, WarningEmitted
from assembler.quantities import size_text
from dolmen.output import print_note, print_program_line, show_diagnostics
from dolmen.wrapping import shorten_hashes

# The interval in seconds between lines of a long task.
_INTERVAL = 10.0


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

    def emit(self, event: Event) -> None:
        """Print the event."""
        with self._lock:
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
        if event.from_program:
            print_program_line(event.message, color=self.color)
        else:
            print_note(event.message)

    def _advanced(self, event: TaskAdvanced) -> None:
        running = self._running.get(event.task)
        if running is None:
            return
        running.done = event.done
        now = time.monotonic()
        if now - running.last_line > _INTERVAL and not self.beside_display:
            running.last_line = now
            total = running.started.total
            share = f" of {self._amount(running, total)}" if total else ""
            amount = self._amount(running, event.done)
            self._line(f"{self._title(running)}: {amount}{share}")

    def _ended(self, event: TaskEnded) -> None:
        running = self._running.pop(event.task, None)
        if running is None:
            return
        seconds = time.monotonic() - running.since
        amount = f" {self._amount(running, running.done)}" if running.done else ""
        self._line(f"{self._title(running)}: {event.outcome}{amount} in {seconds:.1f}s")

    def _title(self, running: _Running) -> str:
        return (
            shorten_hashes(running.started.title) if self.beside_display else running.started.title
        )

    def _amount(self, running: _Running, amount: int) -> str:
        unit = running.started.unit
        return size_text(amount) if unit == "B" else f"{amount} {unit}"

    def _line(self, text: str) -> None:
        if self.verbosity >= 0:
            print_note(text)
