"""Progress as a live display on a terminal."""

from __future__ import annotations

import sys
import threading
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from assembler.events import Event, Said, TaskAdvanced, TaskEnded, TaskStarted, Warned
from dolmen.console import show_diagnostics
from dolmen.lines import LineLog


class LiveDisplay:
    """A reporter with a bar per running task; what is finished scrolls away as a plain line."""

    def __init__(self, verbosity: int = 0, *, color: bool = True) -> None:
        """Prepare the display; it appears with the first task."""
        self._lines = LineLog(verbosity, color=color)
        self._color = color
        self._bars: dict[int, TaskID] = {}
        self._lock = threading.Lock()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            DownloadColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True, no_color=not color),
            transient=True,
            redirect_stdout=False,
        )

    def __enter__(self) -> Self:
        """Take the terminal."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back, clean."""
        self._progress.stop()

    def emit(self, event: Event) -> None:
        """Show the event."""
        with self._lock:
            match event:
                case TaskStarted():
                    if not self._bars:
                        self._progress.start()
                    self._bars[event.task] = self._progress.add_task(event.title, total=event.total)
                    self._lines.emit(event)
                case TaskAdvanced():
                    bar = self._bars.get(event.task)
                    if bar is not None:
                        self._progress.update(bar, completed=event.done)
                case TaskEnded():
                    bar = self._bars.pop(event.task, None)
                    if bar is not None:
                        self._progress.remove_task(bar)
                    self._lines.emit(event)
                case Said():
                    self._lines.emit(event)
                case Warned():
                    show_diagnostics([event.diagnostic], color=self._color, stream=sys.stderr)
