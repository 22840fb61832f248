"""Show progress as a live display on a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Self

from rich.console import Console

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
from dolmen.line_log import LineLog
from dolmen.output import show_diagnostics
from dolmen.progress_rows import ProgressRows
from dolmen.wrapping import shorten_hashes

if TYPE_CHECKING:
    from rich.progress import TaskID

# A longer note is cut.
_MAX_NOTE = 200
# Seconds between refreshes.
_REFRESH_INTERVAL = 0.1


class LiveDisplay:
    """A reporter with a bar per running task; finished tasks become lines above."""

    def __init__(self, verbosity: int = 0, *, color: bool = True) -> None:
        """Create the display; it appears with the first task."""
        self._lines = LineLog(verbosity, color=color, beside_display=True)
        self._color = color
        self._bars: dict[int, TaskID] = {}
        self._lock = threading.Lock()
        console = Console(stderr=True, no_color=not color, highlight=False)
        self._progress = ProgressRows(
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
                    title = printable(shorten_hashes(event.title))
                    self._bars[event.task] = self._progress.add_task(
                        title, total=event.total, unit=event.unit, title=title, note=""
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
            note = shorten_hashes(program_line(event.note[:_MAX_NOTE]))
            self._progress.update(bar, note=note)
