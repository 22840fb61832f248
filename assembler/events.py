"""The progress protocol: the library emits events to a reporter, and never prints.

Long work is a task with a beginning, progress and an end. A reporter turns events into a live
display, plain lines, JSON, or nothing. `emit` may be called from several threads of one process.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.diagnostics import Diagnostic

_task_numbers = itertools.count(1)


@dataclass(frozen=True)
class TaskStarted:
    """A task begins; `total` is the amount of work, in bytes if `unit` is "B", else in items."""

    task: int
    title: str
    total: int | None = None
    unit: str = "B"


@dataclass(frozen=True)
class TaskAdvanced:
    """A task has made progress; `done` is the amount since its beginning, in its unit."""

    task: int
    done: int


@dataclass(frozen=True)
class TaskNoted:
    """A task has a new status; `note` describes it in a few words."""

    task: int
    note: str


@dataclass(frozen=True)
class TaskEnded:
    """A task has ended; `outcome` is a word or two, such as "pulled", "cached" or "failed"."""

    task: int
    outcome: str


@dataclass(frozen=True)
class LogMessage:
    """A line of the log; level 0 is always shown, higher levels with `-v`.

    The output of a program may contain colors and other control sequences.
    """

    message: str
    level: int = 0
    from_program: bool = False


@dataclass(frozen=True)
class WarningEmitted:
    """A warning: a diagnostic that does not end the run."""

    diagnostic: Diagnostic


Event = TaskStarted | TaskAdvanced | TaskNoted | TaskEnded | LogMessage | WarningEmitted


class Reporter(Protocol):
    """The receiver of events."""

    def emit(self, event: Event) -> None:
        """Receive an event; must return quickly and not raise."""


@dataclass
class Task:
    """A running task, for the code that does the work."""

    reporter: Reporter
    number: int
    done: int = 0
    outcome: str = "done"

    def advance(self, amount: int) -> None:
        """Report that `amount` more is done."""
        self.done += amount
        self.reporter.emit(TaskAdvanced(self.number, self.done))


@contextmanager
def task(
    reporter: Reporter, title: str, total: int | None = None, unit: str = "B"
) -> Iterator[Task]:
    """Report the block as a task; its end is reported even if the block raises."""
    current = Task(reporter, next(_task_numbers))
    reporter.emit(TaskStarted(current.number, title, total, unit))
    try:
        yield current
    except BaseException:
        current.outcome = "failed"
        raise
    finally:
        reporter.emit(TaskEnded(current.number, current.outcome))


def pluralize(count: int, noun: str) -> str:
    """Return a number with a noun, such as `1 layer` or `2 layers`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


class NullReporter:
    """A reporter that ignores all events."""

    def emit(self, event: Event) -> None:
        """Ignore the event."""


@dataclass
class EventRecorder:
    """A reporter that records all events, for tests and for `--json`."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Record the event."""
        self.events.append(event)


@dataclass(frozen=True)
class CallbackReporter:
    """A reporter that calls a function with each event."""

    callback: Callable[[Event], None]

    @classmethod
    def of(cls, callback: Callable[[Event], None] | None) -> Reporter:
        """Return a reporter for a callback, or a silent one."""
        return cls(callback) if callback is not None else NullReporter()

    def emit(self, event: Event) -> None:
        """Pass the event on."""
        self.callback(event)


class WarningRecorder:
    """A reporter that keeps the diagnostics of warnings, and passes events on.

    Without `passes_on` warnings are only kept.
    """

    def __init__(self, reporter: Reporter, *, passes_on: bool = True) -> None:
        """Begin without warnings."""
        self._reporter = reporter
        self._passes_on = passes_on
        self.warnings: list[Diagnostic] = []

    def emit(self, event: Event) -> None:
        """Keep a warning, and pass the event on."""
        if isinstance(event, WarningEmitted):
            self.warnings.append(event.diagnostic)
            if not self._passes_on:
                return
        self._reporter.emit(event)
