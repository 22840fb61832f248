"""The terminal and the signals of this process as the files of a command in a guest."""

from __future__ import annotations

import codecs
import os
import signal
import sys
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import typer

from assembler.printable import printable_document
from dolmen.run.console_filters import KeyFilter
from dolmen.run.signal_pipe import SignalPipe, catch_signals
from dolmen.run.tty_mode import raw_mode, reset_terminal, write_all

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_CHUNK = 16384


class CommandTerminal:
    """Standard input, output and error of this process.

    With `terminal`, output is passed on unchanged, and all keys go to the guest but Ctrl-] q.
    Otherwise control characters are escaped if a terminal shows them. The first Ctrl-C is sent to
    the command; a second one, SIGTERM and SIGHUP end the session, and with it the command.
    """

    def __init__(self, *, terminal: bool, interactive: bool) -> None:
        """Choose the files."""
        self._terminal = terminal
        self._interactive = interactive
        self._signals: SignalPipe | None = None
        self._interrupted = False
        self._keys = KeyFilter(interrupt_detaches=False)
        self._decoders = {
            number: codecs.getincrementaldecoder("utf-8")("replace") for number in (1, 2)
        }

    @property
    def input_handle(self) -> int | None:
        """Return standard input, if the command gets it."""
        return sys.stdin.fileno() if self._interactive else None

    @property
    def event_handle(self) -> int | None:
        """Return the pipe of signals."""
        return self._signals.reader if self._signals else None

    @property
    def terminal_size(self) -> tuple[int, int] | None:
        """Return the size of the terminal, if the command gets one."""
        if not self._terminal:
            return None
        for handle in (1, 0, 2):
            with suppress(OSError):
                columns, rows = os.get_terminal_size(handle)
                return min(columns, 0xFFFF), min(rows, 0xFFFF)
        return 80, 24

    @property
    def terminal_type(self) -> str:
        """Return the type of the terminal."""
        return os.environ.get("TERM", "")

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Record signals, and switch the terminal to raw mode if all keys go to the guest."""
        with ExitStack() as opened:
            self._signals = opened.enter_context(catch_signals())
            before = signal.signal(signal.SIGWINCH, self._signals.record)
            opened.callback(signal.signal, signal.SIGWINCH, before)
            if self._terminal:
                if self._interactive:
                    opened.enter_context(raw_mode())
                opened.callback(reset_terminal, sys.stdout)
            yield

    def take_events(self) -> Sequence[int]:
        """Return the signals for the command; 0 is a new size."""
        events: list[int] = []
        if self._signals is None:
            return events
        self._signals.drain()
        received, self._signals.received[:] = list(self._signals.received), []
        for number in received:
            if number == signal.SIGWINCH:
                events.append(0)
            elif number == signal.SIGINT and not self._interrupted:
                self._interrupted = True
                events.append(number)
            else:
                raise typer.Exit(128 + number)
        return events

    def read_input(self) -> bytes | None:
        """Return what was typed."""
        data = os.read(sys.stdin.fileno(), _CHUNK)
        if not data:
            return None
        if self._terminal:
            data = self._keys.filter(data)
            if self._keys.detach_requested:
                raise typer.Exit(128 + signal.SIGHUP)
        return data

    def write_output(self, data: bytes) -> None:
        """Write to standard output."""
        self._write(1, data)

    def write_errors(self, data: bytes) -> None:
        """Write to standard error."""
        self._write(2, data)

    def _write(self, handle: int, data: bytes) -> None:
        if not self._terminal and os.isatty(handle):
            data = printable_document(self._decoders[handle].decode(data)).encode()
        write_all(handle, data)
