"""Being with a machine while it runs: its console, what is waited for, and its end in order."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from assembler.machine.diagnosis import gave_up
from assembler.machine.running import Running
from assembler.machine.waiting import Console, PortProbe, Wanted
from dolmen.run.interrupts import Interrupts
from dolmen.run.terminal import Keys, Screen, may_read, write_all

_TICK = 0.25
# After a panic the last lines still have to come.
_LAST_WORDS = 1.0
_MOST_TYPED = 1 << 16
_A_MOMENT = 0.02


class End(Enum):
    """How it came out."""

    BY_ITSELF = auto()
    REACHED = auto()
    TIMED_OUT = auto()
    GAVE_UP = auto()
    ENDED_EARLY = auto()
    STOPPED = auto()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it came out, after how many seconds, and what the console said last."""

    end: End
    seconds: float
    console: str
    signal: int = 0
    silent: bool = False


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How to be with the machine."""

    wanted: Wanted
    timeout: float | None
    # Whether the console is shown.
    show: bool
    # Whether to stay when what was waited for has come.
    stay: bool
    # How long the guest may take to end when it is asked to.
    patience: float
    say: Callable[[str], None] = field(repr=False)


class Session:
    """The time that a user is attached to a machine."""

    def __init__(
        self,
        running: Running,
        console: socket.socket,
        manners: SessionOptions,
        interrupts: Interrupts,
        probe: PortProbe | None,
    ) -> None:
        """Prepare; nothing runs yet."""
        self._running = running
        self._socket = console
        self._manners = manners
        self._interrupts = interrupts
        self._probe = probe
        self._console = Console()
        self._typed = bytearray()
        self._keys = Keys(interrupt_leaves=True)
        self._screen = Screen() if manners.show and sys.stdout.isatty() else None
        self._selector = selectors.DefaultSelector()
        self._began = time.monotonic()
        self._waiting = bool(manners.wanted)
        self._matched = manners.wanted.pattern is None
        self._given_up: float | None = None
        self._ending: float | None = None
        self._asked = 0

    def attend(self, on_giving_up: Callable[[str], None]) -> Outcome:
        """Stay with the machine until one of the ends; the machine may still run afterwards."""
        with self._selector:
            self._selector.register(self._socket, selectors.EVENT_READ)
            self._selector.register(self._interrupts.handle, selectors.EVENT_READ)
            if self._manners.show and may_read():
                with suppress(ValueError, OSError):
                    self._selector.register(sys.stdin.fileno(), selectors.EVENT_READ)
            self._running.go()
            while True:
                self._once()
                end = self._end(on_giving_up)
                if end is not None:
                    self._rest()
                    return self._outcome(end)

    def _once(self) -> None:
        for key, events in self._selector.select(_TICK):
            if key.fileobj is self._socket:
                if events & selectors.EVENT_WRITE:
                    self._pass_on()
                if events & selectors.EVENT_READ:
                    self._hear()
            elif key.fileobj == self._interrupts.handle:
                self._interrupts.drain()
            else:
                self._type()

    def _hear(self) -> bool:
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            with suppress(KeyError):
                self._selector.unregister(self._socket)
            return False
        self._console.feed(data)
        if self._manners.show:
            if self._screen is not None:
                data = self._screen.shown(data)
            write_all(sys.stdout.fileno(), data)
        return True

    def _type(self) -> None:
        if len(self._typed) > _MOST_TYPED:
            # It stays where it is until the guest has taken some.
            time.sleep(_A_MOMENT)
            return
        data = os.read(sys.stdin.fileno(), 4096)
        if not data:
            self._selector.unregister(sys.stdin.fileno())
            return
        if sys.stdin.isatty():
            data = self._keys.to_guest(data)
        if self._keys.leaving:
            self._keys.leaving = False
            self._interrupts.note(signal.SIGINT)
        self._typed += data
        self._pass_on()

    def _pass_on(self) -> None:
        """Send what was typed as far as the guest takes it; a guest need not read at all."""
        with suppress(OSError):
            sent = self._socket.send(self._typed, socket.MSG_DONTWAIT) if self._typed else 0
            del self._typed[:sent]
        with suppress(KeyError, ValueError):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._typed else 0)
            self._selector.modify(self._socket, events)

    def _end(self, on_giving_up: Callable[[str], None]) -> End | None:
        now = time.monotonic()
        if self._running.ended:
            if self._asked:
                return End.STOPPED
            return End.ENDED_EARLY if self._waiting else End.BY_ITSELF
        if self._interrupts.came and self._stopping(now):
            return End.STOPPED
        text = self._console.text()
        if self._given_up is None and gave_up(text):
            self._given_up = now
        elif self._given_up is not None and now - self._given_up > _LAST_WORDS:
            if self._waiting:
                return End.GAVE_UP
            if self._given_up > 0:
                on_giving_up(text)
                # Once is enough.
                self._given_up = float("inf")
        if self._waiting and not self._asked:
            return self._waited(text, now)
        return None

    def _waited(self, text: str, now: float) -> End | None:
        pattern = self._manners.wanted.pattern
        self._matched = self._matched or (pattern is not None and bool(pattern.search(text)))
        if self._matched and (self._probe is None or self._probe.answered(self._running.control)):
            self._waiting = False
            self._manners.say(f"ready after {now - self._began:.1f} s")
            return None if self._manners.stay else End.REACHED
        timeout = self._manners.timeout
        return End.TIMED_OUT if timeout is not None and now - self._began > timeout else None

    def _stopping(self, now: float) -> bool:
        """Act on signals: ask the guest at the first; tell whether it is time to end at once."""
        came = len(self._interrupts.came)
        if not self._asked:
            self._asked = came
            self._ending = now + self._manners.patience
            if self._manners.patience > 0:
                self._manners.say("ending the machine; once more ends it at once")
                self._running.press_power_button()
        return came > 1 or (self._ending is not None and now >= self._ending)

    def _rest(self) -> None:
        """Hear what is still in the console's socket."""
        self._socket.settimeout(0.1)
        while self._hear():
            pass

    def _outcome(self, end: End) -> Outcome:
        number = self._interrupts.came[0] if self._interrupts.came else 0
        seconds = time.monotonic() - self._began
        return Outcome(end, seconds, self._console.text(), number, self._console.total == 0)
