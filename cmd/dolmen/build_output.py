"""Print the result of a build as text or JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from assembler.errors import DolmenError, host_error, is_disk_error
from assembler.quantities import size_text
from dolmen.output import (
    is_standard_output,
    print_json,
    print_line,
    print_note,
    show_diagnostics,
    wants_color,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.build import BuildResult
    from assembler.diagnostics import Diagnostic
    from dolmen.settings import Settings


def print_result(settings: Settings, result: BuildResult, *, as_json: bool) -> None:
    """Print the paths of the outputs, or JSON; their sizes are notes.

    If both streams are one terminal, a line per output has both.
    """
    if result.unchanged and not settings.quiet:
        show_diagnostics(result.warnings, color=wants_color(sys.stderr, settings.color))
    if as_json:
        print_json(result.as_json())
        return
    together = sys.stdout.isatty() and sys.stderr.isatty() and not settings.quiet
    for output in result.outputs:
        name = output.path or output.reference
        state = "unchanged" if result.unchanged else size_text(output.size)
        note = f"{name or 'standard output'}  {state}"
        if not settings.quiet and not together:
            print_note(note)
        # Otherwise the output itself is on standard output.
        if name and not is_standard_output(output.path):
            print_line(note if together else str(name))


def print_failure(error: DolmenError | OSError, warnings: Sequence[Diagnostic]) -> None:
    """Print an error with diagnostics as a result without outputs."""
    if isinstance(error, BrokenPipeError) or (
        isinstance(error, OSError) and not is_disk_error(error)
    ):
        return
    if isinstance(error, OSError):
        error = host_error(error, error.filename or "a file", "write")
    result = {
        "unchanged": False,
        "outputs": [],
        "parts": [],
        "seconds": {},
        "warnings": [w.as_json() for w in warnings],
        "errors": [d.as_json() for d in error.diagnostics],
    }
    print_json(result)


def list_formats() -> None:
    """Print every format with its description."""
    from assembler.formats import available_formats  # noqa: PLC0415

    listed = available_formats()
    widest = max(len(f.name) for f in listed)
    for f in listed:
        print_line(f"{f.name:{widest}}  {f.description}")
