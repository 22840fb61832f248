"""Output for people: diagnostics with or without color, progress as a display or lines.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import TYPE_CHECKING, TextIO

from assembler.diagnostics import Diagnostic, Severity, TextStyle, styled_pieces
from dolmen.wrapping import columns_of, wrapped_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.events import Event, Reporter
    from dolmen.settings import Settings

_SGR = {
    TextStyle.PLACE: "1",
    TextStyle.ERROR: "1;31",
    TextStyle.WARNING: "1;33",
    TextStyle.MESSAGE: "1",
    TextStyle.MARGIN: "34",
    TextStyle.CARET: "1;31",
    TextStyle.HINT: "36",
    TextStyle.TEXT: "",
}


def wants_color(stream: TextIO, when: str = "auto") -> bool:
    """Tell whether to use colors on the stream."""
    if when != "auto":
        return when == "always"
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def show_diagnostics(
    diagnostics: Iterable[Diagnostic],
    *,
    color: bool = False,
    stream: TextIO | None = None,
    columns: int | None = None,
) -> None:
    """Print diagnostics, and the number of errors if there are several.

    On a terminal, or with `columns`, lines are wrapped.
    """
    out = stream or sys.stderr
    columns = columns or columns_of(out)
    errors = 0
    for diagnostic in diagnostics:
        errors += diagnostic.severity is Severity.ERROR
        shown = wrapped_pieces(styled_pieces(diagnostic), columns)
        out.write(_colored(shown) if color else "".join(text for _, text in shown))
    if errors > 1:
        out.write(f"{errors} errors\n")
    out.flush()


def _colored(shown: Iterable[tuple[TextStyle, str]]) -> str:
    colored = []
    for role, text in shown:
        sgr = _SGR[role]
        body = text.rstrip("\n")
        colored.append(f"\x1b[{sgr}m{body}\x1b[0m{text[len(body) :]}" if sgr and body else text)
    return "".join(colored)


def say(text: str) -> None:
    """Print a line of data to standard output."""
    sys.stdout.write(text + "\n")


@contextmanager
def progress(settings: Settings, how: str = "auto") -> Iterator[Reporter]:
    """Yield the reporter for the terminal or the log, or the one with this name."""
    with ExitStack() as opened:
        yield _LateReporter(settings, how, opened)


class _LateReporter:
    """A reporter that is loaded with the first event: an unchanged build has none."""

    def __init__(self, settings: Settings, how: str, opened: ExitStack) -> None:
        self._settings = settings
        self._how = how
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
        if self._how == "tty" or (live and self._how == "auto"):
            from dolmen.live import LiveDisplay  # noqa: PLC0415 - rich is slow to import

            return self._opened.enter_context(LiveDisplay(settings.verbosity, color=color))
        from dolmen.lines import LineLog  # noqa: PLC0415

        return LineLog(settings.verbosity, color=color)
