"""A log file for each package that is built: everything its builder prints."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from assembler.diagnostics import render
from assembler.events import (
    LogMessage,
    TaskAdvanced,
    TaskEnded,
    TaskNoted,
    TaskStarted,
    WarningEmitted,
)

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Event, Reporter
    from assembler.packages.dependency_pool import Cancellation

_NOT_OF_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def log_file(directory: Path, name: str) -> Path:
    """Return where the log of an image goes: one file for each name, overwritten."""
    return directory / f"{_NOT_OF_NAMES.sub('_', name)}.log"


@dataclass(slots=True)
class PackageLog:
    """A reporter that writes everything down, and passes on what is said with the package's name.

    The file is made when work begins: a package that is there already has none.
    """

    path: Path
    reporter: Reporter
    halt: Cancellation
    # Stands before what is said; empty if there is only one package.
    prefix: str = ""
    began: bool = False
    _file: IO[str] | None = None
    _titles: dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Take an event; if the run was interrupted this is where the thread learns of it."""
        with self._lock:
            self._write(event)
        if isinstance(event, LogMessage) and self.prefix:
            event = replace(event, message=f"{self.prefix}{event.message}")
        self.reporter.emit(event)
        if isinstance(event, LogMessage) and event.level and self._titles:
            # Of the first, all others are parts.
            note = event.message.removeprefix(self.prefix)
            self.reporter.emit(TaskNoted(next(iter(self._titles)), note))
        if not isinstance(event, TaskEnded):
            self.halt.check()

    def end(self, last: str = "") -> None:
        """Close the file, with a last word."""
        with self._lock:
            if last:
                self._line(last)
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, event: Event) -> None:
        match event:
            case TaskStarted():
                self._open()
                self._titles[event.task] = event.title
                self._line(f"== {event.title}")
            case TaskEnded():
                self._line(f"== {self._titles.pop(event.task, '')}: {event.outcome}")
            case LogMessage():
                self._line(event.message)
            case WarningEmitted():
                self._line(render(event.diagnostic).rstrip("\n"))
            case TaskAdvanced() | TaskNoted():
                pass

    def _open(self) -> None:
        if self.began:
            return
        self.began = True
        # Without a log there is still a build.
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", errors="replace")

    def _line(self, text: str) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.write(text + "\n")
                self._file.flush()
