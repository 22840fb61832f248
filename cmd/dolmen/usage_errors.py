"""Turn usage errors of typer into diagnostics."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NoReturn

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError

if TYPE_CHECKING:
    import typer

_SUGGESTION = re.compile(r"\.? (?:\(Possible options?: (.*)\)|Did you mean (.*?)\??)$")


def usage_error(error: typer.TyperException) -> UsageError:
    """Return the error as a diagnostic; a command without arguments prints its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        show_help(error)
    text = " ".join(_message(error).split())
    hints = []
    if suggestion := _SUGGESTION.search(text):
        text = text[: suggestion.start()]
        hints.append(f"did you mean {suggestion[1] or suggestion[2]}?")
    context = getattr(error, "ctx", None)
    if context is not None:
        hints.append(f"see `{context.command_path} --help`")
    message = text[:1].lower() + text[1:].rstrip(".")
    return UsageError([Diagnostic(usage.BAD_OPTION, message, hints=tuple(hints))])


def show_help(error: typer.TyperException) -> NoReturn:
    """Print the help in the error, and exit."""
    sys.stderr.write(_message(error) + "\n")
    sys.exit(2)


def _message(error: typer.TyperException) -> str:
    # The classes with this method are not public.
    return str(error.format_message())
