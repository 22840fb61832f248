"""The terminal while it is a machine's console: raw keys in, and a clean terminal afterwards."""

from __future__ import annotations

import os
import re
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


def may_read() -> bool:
    """Tell whether reading keys would not stop this process, as it does in the background."""
    try:
        if not sys.stdin.isatty():
            return True
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except OSError:
        # A terminal that is not ours to control stops no one.
        return True
    except ValueError:
        return False


@contextmanager
def raw() -> Iterator[bool]:
    """Take the terminal's keys one by one; tell whether there is a terminal at all."""
    if not sys.stdin.isatty() or not may_read():
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


# What firmware does to a terminal: resets it, clears it, and has long lines cut off.
_OF_FIRMWARE = re.compile(rb"\x1b(?:c|\[2J|\[=3h|\[\?7l|\[0?1;0?1H)")
_CUT = re.compile(rb"\x1b[\[0-9;=?]{0,8}\Z")
# From here on it is not the firmware that speaks.
_PASSED = re.compile(rb"EFI stub: |BdsDxe: starting |\[ +0\.\d{6}\]")
_LONGEST_WORD = 32
# A firmware says less than this, if nothing else tells where it ends.
_LONGEST_FIRMWARE = 2048


@dataclass(slots=True)
class Screen:
    """Keeps the firmware from clearing what was on the terminal before, and from its settings."""

    # The beginning of a sequence whose end has not come yet.
    _rest: bytes = b""
    # What came last, as words may come in pieces, too.
    _before: bytes = b""
    _total: int = 0
    _passed: bool = False

    def shown(self, data: bytes) -> bytes:
        """Return what of the console's data is for the terminal."""
        if self._passed:
            return data
        found = _PASSED.search(self._before + data)
        end = found.end() - len(self._before) if found else len(data)
        self._total += len(data)
        self._passed = found is not None or self._total > _LONGEST_FIRMWARE
        self._before = (self._before + data)[-_LONGEST_WORD:]
        cleaned = self._rest + data[:end]
        cut = None if self._passed else _CUT.search(cleaned)
        self._rest = cut[0] if cut else b""
        if cut:
            cleaned = cleaned[: cut.start()]
        return _OF_FIRMWARE.sub(b"", cleaned) + data[end:]


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
