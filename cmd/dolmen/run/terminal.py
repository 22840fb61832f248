"""The terminal while it is a machine's console: raw keys in, and a clean terminal afterwards."""

from __future__ import annotations

import os
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_ESCAPE = 0x1D  # Ctrl-]
_INTERRUPT = 0x03
# Lines wrap, plain colours, the cursor is seen, no alternate screen, no mouse, no bracketed paste.
_CLEAN = b"\x1b[?1049l\x1b[?7h\x1b[0m\x1b[?25h\x1b[?1000l\x1b[?2004l"


@contextmanager
def raw() -> Iterator[bool]:
    """Take the terminal's keys one by one; tell whether there is a terminal at all."""
    if not sys.stdin.isatty():
        yield False
        return
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    try:
        tty.setraw(handle, termios.TCSADRAIN)
        yield True
    finally:
        # It may be gone, as after the window was closed.
        with suppress(termios.error, OSError):
            termios.tcsetattr(handle, termios.TCSADRAIN, before)


def clean() -> None:
    """Undo what the guest may have done to the terminal."""
    if sys.stdout.isatty():
        with suppress(OSError):
            os.write(sys.stdout.fileno(), _CLEAN)


def write_all(handle: int, data: bytes) -> None:
    """Write everything."""
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


@dataclass(slots=True)
class Keys:
    """Tells what is for the guest from what is for us.

    After Ctrl-] comes a letter: `q` leaves, `c` is a Ctrl-C for the guest, Ctrl-] again is itself.
    """

    # Whether Ctrl-C alone is for us.
    interrupt_leaves: bool
    leaving: bool = False
    _escaped: bool = False

    def to_guest(self, data: bytes) -> bytes:
        """Return what of the keys is for the guest, and see whether the user wants to leave."""
        out = bytearray()
        for key in data:
            if self._escaped:
                self._escaped = False
                if key in b"qQ":
                    self.leaving = True
                elif key in b"cC":
                    out.append(_INTERRUPT)
                else:
                    out.append(key)
            elif key == _ESCAPE:
                self._escaped = True
            elif key == _INTERRUPT and self.interrupt_leaves:
                self.leaving = True
            else:
                out.append(key)
        return bytes(out)
