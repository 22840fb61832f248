"""What people see: diagnostics in colour or plain, progress as a live display or as lines.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from assembler.diagnostics import Diagnostic, Severity, TextStyle, styled_pieces
from dolmen.wrapping import columns_of, wrapped_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.events import Reporter
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
    """Tell whether colours are wanted on the stream."""
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
    """Write diagnostics for people, and a count if there are several errors.

    On a terminal, or where `columns` are given, lines are broken between words.
    """
    out = stream or sys.stderr
    columns = columns or columns_of(out)
    errors = 0
    for diagnostic in diagnostics:
        errors += diagnostic.severity is Severity.ERROR
        shown = wrapped_pieces(styled_pieces(diagnostic), columns)
        out.write(_painted(shown) if color else "".join(text for _, text in shown))
    if errors > 1:
        out.write(f"{errors} errors\n")
    out.flush()


def _painted(shown: Iterable[tuple[TextStyle, str]]) -> str:
    painted = []
    for role, text in shown:
        sgr = _SGR[role]
        body = text.rstrip("\n")
        painted.append(f"\x1b[{sgr}m{body}\x1b[0m{text[len(body) :]}" if sgr and body else text)
    return "".join(painted)


def size_text(amount: int) -> str:
    """Return a number of bytes as people read it."""
    if amount < 1000:
        return f"{amount} B"
    value = float(amount)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1000
        if value < 999.5 or unit == "TB":
            break
    return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"


def say(text: str) -> None:
    """Write a line of data to standard output."""
    sys.stdout.write(text + "\n")


@contextmanager
def progress(settings: Settings, how: str = "auto") -> Iterator[Reporter]:
    """Give a reporter that fits the terminal, or the lack of one, or is asked for by its name."""
    color = wants_color(sys.stderr, settings.color)
    live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not settings.quiet
    if how == "tty" or (live and how == "auto"):
        from dolmen.live import LiveDisplay  # noqa: PLC0415 - rich is slow to import

        with LiveDisplay(settings.verbosity, color=color) as display:
            yield display
    else:
        from dolmen.lines import LineLog  # noqa: PLC0415

        yield LineLog(settings.verbosity, color=color)
