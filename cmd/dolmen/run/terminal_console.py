"""The terminal as the console of a machine, with signals as requests to stop."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dolmen.run.interrupts import Interrupts, watched
from dolmen.run.terminal import Keys, Screen, clean, may_read, raw, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 65536


@dataclass(slots=True)
class SignalConsole:
    """A console that shows nothing, for waiting: only signals are watched."""

    # Whether the terminal takes line ends literally.
    is_raw: bool = False
    _interrupts: Interrupts | None = field(default=None, init=False)

    @property
    def handles(self) -> Sequence[int]:
        """Return the handle that becomes readable when a signal comes."""
        return (self._interrupts.handle,) if self._interrupts else ()

    @property
    def stop_requests(self) -> Sequence[int]:
        """Return the signals so far."""
        return self._interrupts.came if self._interrupts else ()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Collect signals during the block instead of ending by them."""
        with watched() as self._interrupts:
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Leave the terminal as it is."""
        yield

    def read(self, handle: int) -> bytes | None:  # noqa: ARG002 - there is only one handle
        """Take note of signals; there is no input."""
        if self._interrupts:
            self._interrupts.drain()
        return b""

    def write(self, data: bytes) -> None:
        """Show nothing."""


@dataclass(slots=True)
class TerminalConsole(SignalConsole):
    """Standard input and output as the console; on a terminal, with its keys one by one.

    With `ends_machine` Ctrl-C and Ctrl-] q are requests to stop as signals are; otherwise Ctrl-C is
    for the guest, and Ctrl-] q only leaves.
    """

    ends_machine: bool = True
    # Written to the terminal before the machine starts, and when the terminal is attached.
    start_hint: str = ""
    attach_hint: str = ""
    # Whether a terminal was attached.
    was_raw: bool = field(default=False, init=False)
    _keys: Keys = field(init=False)
    _screen: Screen | None = field(init=False)

    def __post_init__(self) -> None:
        """Prepare for keys and for what firmware does to terminals."""
        self._keys = Keys(interrupt_leaves=self.ends_machine)
        self._screen = Screen() if self.ends_machine and sys.stdout.isatty() else None

    @property
    def handles(self) -> Sequence[int]:
        """Return the handle of signals, and standard input if it may be read."""
        handles = [self._interrupts.handle] if self._interrupts else []
        with suppress(ValueError, OSError):
            if may_read():
                handles.append(sys.stdin.fileno())
        return handles

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Collect signals during the block instead of ending by them."""
        if self.start_hint and sys.stdin.isatty():
            sys.stderr.write(self.start_hint)
            sys.stderr.flush()
        with watched() as self._interrupts:
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Take the keys of the terminal one by one, and clean up what the guest did to it."""
        with raw() as is_terminal:
            self.is_raw = self.was_raw = is_terminal
            if self.is_raw and self.attach_hint:
                sys.stderr.write(self.attach_hint)
                sys.stderr.flush()
            try:
                yield
            finally:
                self.is_raw = False
                clean()

    def read(self, handle: int) -> bytes | None:
        """Return the keys that are for the guest."""
        if self._interrupts and handle == self._interrupts.handle:
            self._interrupts.drain()
            return b""
        data = os.read(handle, _CHUNK)
        if not data:
            return None
        if sys.stdin.isatty():
            data = self._keys.to_guest(data)
        if self._keys.leaving and self._interrupts:
            self._keys.leaving = False
            self._interrupts.note(signal.SIGINT if self.ends_machine else 0)
        return data

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        if self._screen is not None:
            data = self._screen.shown(data)
        write_all(sys.stdout.fileno(), data)
