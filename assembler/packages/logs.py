"""The log file of each package build: the output of its builder."""

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
from assembler.printable import printable, program_line

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.events import Event, Reporter
    from assembler.packages.dependency_pool import Cancellation

_UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9._-]+")


def log_path(directory: Path, name: str) -> Path:
    """Return the path of an image's log file; each build replaces it."""
    return directory / f"{_UNSAFE_CHARACTERS.sub('_', name)}.log"


@dataclass(slots=True)
class PackageLog:
    """A reporter that writes a log file, and passes events on with the package's name.

    The file is created when work begins: a package that is up to date has none.
    """

    path: Path
    reporter: Reporter
    cancellation: Cancellation
    # Prefix of messages; empty if there is only one package.
    prefix: str = ""
    opened: bool = False
    _file: IO[str] | None = None
    _titles: dict[int, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def emit(self, event: Event) -> None:
        """Log an event; raises if the run was cancelled."""
        with self._lock:
            self._write(event)
        if isinstance(event, LogMessage) and self.prefix:
            event = replace(event, message=f"{self.prefix}{event.message}")
        self.reporter.emit(event)
        if isinstance(event, LogMessage) and event.level and self._titles:
            # The first task contains all others.
            note = event.message.removeprefix(self.prefix)
            self.reporter.emit(TaskNoted(next(iter(self._titles)), note))
        if not isinstance(event, TaskEnded):
            self.cancellation.check()

    def close(self, last_line: str = "") -> None:
        """Write the last line, and close the file."""
        with self._lock:
            if last_line:
                self._line(last_line)
            if self._file is not None:
                # On a full disk, lines that could not be written fail again.
                with suppress(OSError):
                    self._file.close()
                self._file = None

    def _write(self, event: Event) -> None:
        match event:
            case TaskStarted():
                self._open()
                self._titles[event.task] = event.title
                self._line(f"== {printable(event.title)}")
            case TaskEnded():
                title = printable(self._titles.pop(event.task, ""))
                self._line(f"== {title}: {event.outcome}")
            case LogMessage():
                clean = program_line if event.from_program else printable
                self._line(clean(event.message))
            case WarningEmitted():
                self._line(render(event.diagnostic).rstrip("\n"))
            case TaskAdvanced() | TaskNoted():
                pass

    def _open(self) -> None:
        if self.opened:
            return
        self.opened = True
        # A build goes on without a log.
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("w", encoding="utf-8", errors="replace")

    def _line(self, text: str) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.write(text + "\n")
                self._file.flush()
