"""Turn usage errors of typer into diagnostics."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, NoReturn

from assembler.codes import usage
from assembler.diagnostics import Diagnostic
from assembler.errors import UsageError
from dolmen.output import print_help

if TYPE_CHECKING:
    import typer

# The mistyped word in the messages about commands and options.
_NAMED = re.compile(r"(?:command '|option:? '?)([^' ]+)")
# Commands of other tools for images, and the command of Dolmen.
_MOVED = {
    "export": "cache export",
    "images": "cache ls",
    "import": "cache import",
    "load": "cache import",
    "ls": "cache ls",
    "pull": "cache pull",
    "rmi": "cache rm",
    "save": "cache export",
    "start": "run",
}
_NOT_A_NUMBER = re.compile(r"is not a valid (?:int range|integer range|integer|int)\b")
_SUGGESTION = re.compile(r"\.? (?:\(Possible options?: (.*)\)|Did you mean (.*?)\??)$")


def usage_error(error: typer.TyperException) -> UsageError:
    """Return the error as a diagnostic; a command without arguments prints its help instead."""
    if type(error).__name__ == "NoArgsIsHelpError":
        show_help(error)
    text = " ".join(_message(error).split())
    hints = []
    if suggestion := _SUGGESTION.search(text):
        text = text[: suggestion.start()]
        hints += _close_suggestions(text, suggestion[1] or suggestion[2])
    context = getattr(error, "ctx", None)
    if context is not None and context.parent is None:
        hints += _moved_command(text)
    if context is not None:
        hints.append(f"see `{context.command_path} --help`")
    text = _NOT_A_NUMBER.sub("is not a whole number", text)
    message = text[:1].lower() + text[1:].rstrip(".")
    return UsageError([Diagnostic(usage.BAD_OPTION, message, hints=tuple(hints))])


def _moved_command(text: str) -> list[str]:
    """Return a hint for a command that has another name here."""
    named = _NAMED.search(text)
    if named is None or "no such command" not in text.lower() or named[1] not in _MOVED:
        return []
    return [f"the command is `dolmen {_MOVED[named[1]]}`"]


def _close_suggestions(text: str, suggested: str) -> list[str]:
    """Return a hint with those suggestions of typer that are close to the word in its message."""
    from assembler.spelling import nearest_words  # noqa: PLC0415 - only for a mistake

    named = _NAMED.search(text)
    words = [word.strip(" '\"") for word in suggested.split(",")]
    if named is not None:
        words = nearest_words(named[1], words)
    return [f"did you mean {' or '.join(words)}?"] if words else []


def show_help(error: typer.TyperException) -> NoReturn:
    """Print the help in the error, and exit."""
    print_help(_message(error))
    sys.exit(2)


def _message(error: typer.TyperException) -> str:
    # The classes with this method are not public.
    return str(error.format_message())
