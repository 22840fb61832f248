"""Use the terminal as the console of a VM; signals are requests to stop."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from dolmen.output import write_escaped
from dolmen.run.console_filters import FirmwareFilter, KeyFilter
from dolmen.run.signal_pipe import SignalPipe, catch_signals
from dolmen.run.tty_mode import can_read_stdin, raw_mode, reset_terminal, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 65536


@dataclass(slots=True)
class SignalConsole:
    """A console without input and output that only receives signals."""

    # Whether the terminal is in raw mode, where lines end with CR LF.
    is_raw: bool = False
    _signals: SignalPipe | None = field(default=None, init=False)

    @property
    def handles(self) -> Sequence[int]:
        """Return the pipe that becomes readable when a signal arrives."""
        return (self._signals.reader,) if self._signals else ()

    @property
    def stop_requests(self) -> Sequence[int]:
        """Return the received signals."""
        return self._signals.received if self._signals else ()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Record signals during the block instead of ending the process."""
        with catch_signals() as self._signals:
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Do not change the terminal."""
        yield

    def read(self, handle: int) -> bytes | None:  # noqa: ARG002 - only the pipe is watched
        """Empty the pipe; there is no input."""
        if self._signals:
            self._signals.drain()
        return b""

    def write(self, data: bytes) -> None:
        """Show nothing."""


@dataclass(slots=True)
class TerminalConsole(SignalConsole):
    """Standard input and output as the console; a terminal is switched to raw mode.

    With `ends_machine`, Ctrl-C and Ctrl-] q are requests to stop, like signals. Otherwise Ctrl-C
    goes to the guest, and Ctrl-] q detaches.
    """

    ends_machine: bool = True
    # The output goes to standard error, as standard output is for the result.
    on_stderr: bool = False
    # Written to the terminal before the machine starts, and when the terminal is attached.
    start_hint: str = ""
    attach_hint: str = ""
    # Whether the terminal was in raw mode.
    was_raw: bool = field(default=False, init=False)
    _key_filter: KeyFilter = field(init=False)
    _firmware_filter: FirmwareFilter | None = field(init=False)

    def __post_init__(self) -> None:
        """Create the filters of input and output."""
        self._key_filter = KeyFilter(interrupt_detaches=self.ends_machine)
        self._firmware_filter = (
            FirmwareFilter() if self.ends_machine and self._output.isatty() else None
        )

    @property
    def _output(self) -> TextIO:
        return sys.stderr if self.on_stderr else sys.stdout

    @property
    def handles(self) -> Sequence[int]:
        """Return the signal pipe, and standard input if it can be read."""
        handles = [self._signals.reader] if self._signals else []
        with suppress(ValueError, OSError):
            if can_read_stdin():
                handles.append(sys.stdin.fileno())
        return handles

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Record signals during the block instead of ending the process."""
        if self.start_hint and sys.stdin.isatty():
            write_escaped(self.start_hint)
        with catch_signals() as self._signals:
            yield

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Switch the terminal to raw mode, and reset it afterwards."""
        with raw_mode() as is_terminal:
            self.is_raw = self.was_raw = is_terminal
            if self.is_raw and self.attach_hint:
                write_escaped(self.attach_hint, raw_terminal=True)
            try:
                yield
            finally:
                self.is_raw = False
                reset_terminal(self._output)

    def read(self, handle: int) -> bytes | None:
        """Return the keys for the guest."""
        if self._signals and handle == self._signals.reader:
            self._signals.drain()
            return b""
        data = os.read(handle, _CHUNK)
        if not data:
            return None
        if sys.stdin.isatty():
            data = self._key_filter.filter(data)
        if self._key_filter.detach_requested and self._signals:
            self._key_filter.detach_requested = False
            self._signals.record(signal.SIGINT if self.ends_machine else 0)
        return data

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        if self._firmware_filter is not None:
            data = self._firmware_filter.filter(data)
        write_all(self._output.fileno(), data)
