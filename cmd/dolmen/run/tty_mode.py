"""Switch the terminal to raw mode for a console, and reset it afterwards."""

from __future__ import annotations

import os
import sys
import termios
import tty
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

# Leave the alternate screen, wrap lines, reset colors, show the cursor, turn off mouse reports and
# bracketed paste.
_RESET_SEQUENCES = b"\x1b[?1049l\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?2004l"


def can_read_stdin() -> bool:
    """Tell whether standard input can be read: a background process would be stopped."""
    try:
        if not sys.stdin.isatty():
            return True
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        # Reading from another terminal than the controlling one does not stop a process.
        return True
    except ValueError:
        return False


@contextmanager
def raw_mode() -> Iterator[bool]:
    """Switch the terminal to raw mode; yield False without a terminal."""
    if not sys.stdin.isatty() or not can_read_stdin():
        yield False
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setraw(handle, termios.TCSADRAIN)
        yield True
    finally:
        # The terminal may be gone, for example after its window was closed.
        with suppress(termios.error, OSError):
            termios.tcsetattr(handle, termios.TCSADRAIN, before)


def reset_terminal(output: TextIO) -> None:
    """Reset the terminal after the guest's output."""
    if output.isatty():
        with suppress(OSError):
            os.write(output.fileno(), _RESET_SEQUENCES)


def write_all(handle: int, data: bytes) -> None:
    """Write all data to a file descriptor."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
