"""The only place that prints: results to standard output, all else to standard error.

Control characters are escaped here, so that names and texts of others cannot change the terminal
or forge lines. Only the consoles of machines, in `dolmen.run`, are passed on unchanged.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, TextIO

from assembler.diagnostics import Diagnostic, Severity, TextStyle, in_line_order, styled_diagnostic
from assembler.printable import (
    MAX_MESSAGE_LINE,
    MAX_RESULT_LINE,
    cut_middle,
    printable,
    printable_document,
    program_line,
)
from dolmen.wrapping import columns_of, wrap_pieces

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Styled:
    """A piece of a line with its style; an empty one is no style."""

    text: str
    sgr: str


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


def print_line(*pieces: str | Styled) -> None:
    """Print a line of a result to standard output."""
    sys.stdout.write(_line(pieces, MAX_RESULT_LINE))


def print_note(*pieces: str | Styled) -> None:
    """Print a line to standard error: what was done, or is going on."""
    sys.stderr.write(_line(pieces, MAX_MESSAGE_LINE))
    sys.stderr.flush()


def print_program_line(text: str, *, color: bool = False) -> None:
    """Print a line that a program printed to standard error; `color` keeps its colors."""
    cut = text if len(text) <= MAX_RESULT_LINE else cut_middle(text, MAX_RESULT_LINE)
    sys.stderr.write(program_line(cut, color=color) + "\n")
    sys.stderr.flush()


def print_document(text: str) -> None:
    """Print a text of several lines to standard output."""
    sys.stdout.write(printable_document(text))


def print_json(value: Any, *, indent: int | None = 2, ascii_only: bool = True) -> None:  # noqa: ANN401
    """Print JSON to standard output; characters that are not printable are escaped in it."""
    import json  # noqa: PLC0415 - not every command needs it

    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    if not ascii_only:
        text = "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
    sys.stdout.write(text + "\n")


def write_escaped(text: str, *, raw_terminal: bool = False) -> None:
    """Write lines that are escaped already to standard error; in raw mode lines end with CR LF."""
    sys.stderr.write("\r" + text.replace("\n", "\r\n") if raw_terminal else text)
    sys.stderr.flush()


def print_help(text: str) -> None:
    """Print help to standard error."""
    sys.stderr.write(printable_document(text) + "\n")


def result_stream() -> IO[bytes]:
    """Return standard output, for a result that is a file."""
    return sys.stdout.buffer


def is_standard_output(path: Path | None) -> bool:
    """Tell whether a path, such as /dev/stdout, is standard output."""
    with suppress(OSError, ValueError):
        return path is not None and os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    return False


def _line(pieces: Iterable[str | Styled], limit: int) -> str:
    line = ""
    for piece in pieces:
        styled = piece if isinstance(piece, Styled) else Styled(piece, "")
        text = printable(styled.text, limit)
        line += f"\x1b[{styled.sgr}m{text}\x1b[0m" if styled.sgr else text
    return line + "\n"
