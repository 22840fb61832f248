"""What the library says while it works: events given to a reporter, never printed.

Long work is a task with a beginning, steps and an end. A reporter turns events into a live display,
plain lines, JSON, or nothing. `emit` may be called from several threads of one process.
"""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.diagnostics import Diagnostic

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A piece of work begins; `total` counts bytes if `unit` is "B", else things."""

    task: int
    title: str
    total: int | None = None
    unit: str = "B"


@dataclass(frozen=True, slots=True)
class TaskAdvanced:
    """So much of a task is done, in its unit, since its beginning."""

    task: int
    done: int


@dataclass(frozen=True, slots=True)
class TaskNoted:
    """What a task is at, in a few words, for whoever looks on."""

    task: int
    note: str


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """A task is over; `outcome` says how in a word or two ("pulled", "cached", "failed")."""

    task: int
    outcome: str


@dataclass(frozen=True, slots=True)
class LogMessage:
    """A line for those who asked for more (`-v`); level 0 is for everyone."""

    message: str
    level: int = 0


@dataclass(frozen=True, slots=True)
class Warned:
    """Something doubtful that does not end the run."""

    diagnostic: Diagnostic


Event = TaskStarted | TaskAdvanced | TaskNoted | TaskEnded | LogMessage | Warned


class Reporter(Protocol):
    """Whoever wants to know what is going on."""

    def emit(self, event: Event) -> None:
        """Take an event; must return soon and not raise."""


@dataclass(slots=True)
class Task:
    """A task under way, from the point of view of the code that does it."""

    reporter: Reporter
    number: int
    done: int = 0
    outcome: str = "done"

    def advance(self, amount: int) -> None:
        """Say that `amount` more is done."""
        self.done += amount
        self.reporter.emit(TaskAdvanced(self.number, self.done))


@contextmanager
def task(
    reporter: Reporter, title: str, total: int | None = None, unit: str = "B"
) -> Iterator[Task]:
    """Report a task around a block: its end is told whatever happens inside."""
    current = Task(reporter, next(_numbers))
    reporter.emit(TaskStarted(current.number, title, total, unit))
    try:
        yield current
    except BaseException:
        current.outcome = "failed"
        raise
    finally:
        reporter.emit(TaskEnded(current.number, current.outcome))


def several(count: int, thing: str) -> str:
    """Return a number of things in words: 1 layer, 2 layers."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


class Silent:
    """A reporter that wants to know nothing."""

    def emit(self, event: Event) -> None:
        """Drop the event."""


@dataclass(slots=True)
class Recorder:
    """A reporter that keeps everything, for tests and for `--json`."""

    events: list[Event] = field(default_factory=list)

    def emit(self, event: Event) -> None:
        """Keep the event."""
        self.events.append(event)
