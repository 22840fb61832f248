"""The next command to type: the last line that a command prints to a person.

It is a note. `new` and `pkg new`, which begin something, always print it. All other commands
print it only if both streams are a terminal, so that scripts and logs do not have it. With `-q` and
`--json` there is none.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from dolmen.output import Styled, print_note, wants_color

if TYPE_CHECKING:
    from pathlib import Path

    from dolmen.settings import Settings

_STYLE = "1"


def show_next_command(settings: Settings, *words: str | Path, always: bool = False) -> None:
    """Print the next command; file names are quoted for the shell."""
    if settings.quiet or not (always or (sys.stdout.isatty() and sys.stderr.isatty())):
        return
    sys.stdout.flush()
    style = _STYLE if wants_color(sys.stderr, settings.color) else ""
    print_note("next: ", Styled(shlex.join(map(str, words)), style))
