"""Print data to standard output, and diagnostics to standard error."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from assembler.diagnostics import Diagnostic, Severity, TextStyle, in_line_order, styled_diagnostic
from dolmen.wrapping import columns_of, wrap_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable

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
    for diagnostic in in_line_order(diagnostics):
        errors += diagnostic.severity is Severity.ERROR
        shown = wrap_pieces(styled_diagnostic(diagnostic), columns)
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


def print_line(text: str) -> None:
    """Print a line of data to standard output."""
    sys.stdout.write(text + "\n")
