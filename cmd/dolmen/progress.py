"""Show the progress of a command: a live display on a terminal, lines elsewhere."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from dolmen.output import wants_color

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.events import Event, Reporter
    from dolmen.settings import Settings


@contextmanager
def progress_reporter(settings: Settings, style: str = "auto") -> Iterator[Reporter]:
    """Yield a reporter: `tty` for the live display, `plain` for lines, `auto` to choose."""
    with ExitStack() as opened:
        yield _LazyReporter(settings, style, opened)


class _LazyReporter:
    """A reporter that is imported at the first event, as an unchanged build emits none."""

    def __init__(self, settings: Settings, style: str, opened: ExitStack) -> None:
        self._settings = settings
        self._style = style
        self._opened = opened
        self._lock = Lock()
        self._reporter: Reporter | None = None

    def emit(self, event: Event) -> None:
        """Pass an event on."""
        with self._lock:
            if self._reporter is None:
                self._reporter = self._open()
        self._reporter.emit(event)

    def _open(self) -> Reporter:
        settings = self._settings
        color = wants_color(sys.stderr, settings.color)
        live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not settings.quiet
        if self._style == "tty" or (live and self._style == "auto"):
            from dolmen.live_display import LiveDisplay  # noqa: PLC0415 - rich is slow to import

            return self._opened.enter_context(LiveDisplay(settings.verbosity, color=color))
        from dolmen.line_log import LineLog  # noqa: PLC0415

        return LineLog(settings.verbosity, color=color)
