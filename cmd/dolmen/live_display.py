"""Show progress as a live display on a terminal."""

from __future__ import annotations

import threading
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from assembler.events import (
    Event,
    LogMessage,
    TaskAdvanced,
    TaskEnded,
    TaskNoted,
    TaskStarted,
    WarningEmitted,
)
from assembler.periodic_threads import PeriodicThread
from assembler.printable import printable, program_line
from assembler.quantities import size_text
from dolmen.line_log import LineLog
from dolmen.output import show_diagnostics
from dolmen.wrapping import shorten_hashes

_BAR = 12
# The width of bar, amount and time.
_FIXED_WIDTH = _BAR + 19 + 7 + 3
_MIN_NAME_WIDTH, _MAX_NAME_WIDTH = 16, 90
# Seconds between refreshes.
_REFRESH_INTERVAL = 0.1
_AMOUNTS = Column(justify="right", no_wrap=True)


class _Amount(ProgressColumn):
    """The amount that is done, in the task's unit; empty if unknown."""

    def render(self, task: Task) -> Text:
        """Return the amount as a text."""
        done, total, unit = int(task.completed), task.total, task.fields["unit"]
        if not done and total is None:
            return Text("")
        amount = size_text(done) if unit == "B" else str(done)
        if total is None:
            return Text(amount if unit == "B" else f"{amount} {unit}")
        whole = size_text(int(total)) if unit == "B" else f"{int(total)} {unit}"
        return Text(f"{amount} of {whole}")


class LiveDisplay:
    """A reporter with a bar per running task; finished tasks become lines above."""

    def __init__(self, verbosity: int = 0, *, color: bool = True) -> None:
        """Create the display; it appears with the first task."""
        self._lines = LineLog(verbosity, color=color, beside_display=True)
        self._color = color
        self._bars: dict[int, TaskID] = {}
        self._lock = threading.Lock()
        console = Console(stderr=True, no_color=not color, highlight=False)
        # Names are truncated to the available width.
        room = max(_MIN_NAME_WIDTH, min(_MAX_NAME_WIDTH, console.width - _FIXED_WIDTH))
        names = Column(no_wrap=True, overflow="ellipsis", max_width=room)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=names),
            BarColumn(bar_width=_BAR),
            _Amount(table_column=_AMOUNTS),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            # rich's own thread could overwrite lines that are printed above the bars.
            auto_refresh=False,
        )
        self._started = False
        self._drawing = PeriodicThread(self._draw, _REFRESH_INTERVAL, "progress")

    def __enter__(self) -> Self:
        """Return the display."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the bars from the terminal."""
        try:
            self._drawing.stop()
        finally:
            self._progress.stop()

    def _draw(self) -> None:
        """Refresh the bars."""
        with self._lock:
            self._progress.refresh()

    def emit(self, event: Event) -> None:
        """Show the event."""
        with self._lock:
            match event:
                case TaskStarted():
                    self._begin()
                    title = escape(printable(shorten_hashes(event.title)))
                    self._bars[event.task] = self._progress.add_task(
                        title, total=event.total, unit=event.unit, title=title
                    )
                    self._lines.emit(event)
                case TaskAdvanced():
                    bar = self._bars.get(event.task)
                    if bar is not None:
                        self._progress.update(bar, completed=event.done)
                    self._lines.emit(event)
                case TaskNoted():
                    self._note(event)
                case TaskEnded():
                    bar = self._bars.pop(event.task, None)
                    if bar is not None:
                        self._progress.remove_task(bar)
                    self._lines.emit(event)
                case LogMessage():
                    self._lines.emit(event)
                case WarningEmitted():
                    show_diagnostics([event.diagnostic], color=self._color)

    def _begin(self) -> None:
        """Start showing bars."""
        if not self._started:
            self._started = True
            self._progress.start()
            self._drawing.start()

    def _note(self, event: TaskNoted) -> None:
        """Show a note after the title of a task."""
        bar = self._bars.get(event.task)
        if bar is not None:
            note = program_line(event.note)[:_MAX_NAME_WIDTH]
            title = self._progress.tasks[self._progress.task_ids.index(bar)].fields["title"]
            self._progress.update(
                bar, description=f"{title}  [dim]{escape(shorten_hashes(note))}[/dim]"
            )
