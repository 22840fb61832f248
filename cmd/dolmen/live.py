"""Progress as a live display on a terminal."""

from __future__ import annotations

import sys
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
from dolmen.console import show_diagnostics, size_text
from dolmen.lines import LineLog
from dolmen.wrapping import short

_BAR = 12
# Bar, amount and time, with what is between them.
_BESIDE_NAMES = _BAR + 19 + 7 + 3
_LEAST_NAME, _LONGEST_NAME = 16, 90
# Seconds between drawings.
_BETWEEN = 0.1
_AMOUNTS = Column(justify="right", no_wrap=True)


class _Amount(ProgressColumn):
    """How much is done, in the task's own unit; nothing as long as nothing is known."""

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
    """A reporter with a bar per running task; what is finished scrolls away as a plain line."""

    def __init__(self, verbosity: int = 0, *, color: bool = True) -> None:
        """Prepare the display; it appears with the first task."""
        self._lines = LineLog(verbosity, color=color, beside_display=True)
        self._color = color
        self._bars: dict[int, TaskID] = {}
        self._lock = threading.Lock()
        console = Console(stderr=True, no_color=not color, highlight=False)
        # Names are cut off where the room for them ends.
        room = max(_LEAST_NAME, min(_LONGEST_NAME, console.width - _BESIDE_NAMES))
        names = Column(no_wrap=True, overflow="ellipsis", max_width=room)
        self._progress = Progress(
            TextColumn("{task.description}", table_column=names),
            BarColumn(bar_width=_BAR),
            _Amount(table_column=_AMOUNTS),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            # Its own thread draws while others write above the bars, and what is written then may
            # be drawn over.
            auto_refresh=False,
        )
        self._began = False
        self._stop = threading.Event()
        self._drawing = threading.Thread(target=self._draw, name="progress", daemon=True)

    def __enter__(self) -> Self:
        """Take the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back, clean."""
        self._stop.set()
        try:
            if self._began:
                self._drawing.join()
        finally:
            self._progress.stop()

    def _draw(self) -> None:
        """Draw the bars now and then."""
        while not self._stop.wait(_BETWEEN):
            with self._lock:
                self._progress.refresh()

    def emit(self, event: Event) -> None:
        """Show the event."""
        with self._lock:
            match event:
                case TaskStarted():
                    self._begin()
                    title = escape(short(event.title))
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
                    show_diagnostics([event.diagnostic], color=self._color, stream=sys.stderr)

    def _begin(self) -> None:
        """Show the bars from now on."""
        if not self._began:
            self._began = True
            self._progress.start()
            self._drawing.start()

    def _note(self, event: TaskNoted) -> None:
        """Show behind the name of a task what it is at."""
        bar = self._bars.get(event.task)
        if bar is not None:
            note = "".join(c if c.isprintable() else " " for c in event.note[:_LONGEST_NAME])
            title = self._progress.tasks[self._progress.task_ids.index(bar)].fields["title"]
            self._progress.update(bar, description=f"{title}  [dim]{escape(short(note))}[/dim]")
