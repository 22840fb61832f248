"""Attach to a running VM: relay its console, wait for readiness, and shut it down."""

from __future__ import annotations

import selectors
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.events import LogMessage
from assembler.machine.console_diagnosis import find_crash_loop, has_given_up
from assembler.machine.console_text import ConsoleBuffer
from assembler.machine.result import RunOutcome
from assembler.machine.wait_conditions import PortProbe, WaitCondition

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.events import Reporter
    from assembler.machine.console_io import ConsoleIO
    from assembler.machine.log_watch import LogWatch
    from assembler.machine.program import MachineProgram

_POLL_INTERVAL = 0.25
# Seconds to wait for the last lines after a panic.
_PANIC_DELAY = 1.0
_MAX_PENDING = 1 << 16
_INPUT_PAUSE = 0.02
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The wait condition and the timeouts of a session."""

    condition: WaitCondition
    # Seconds to wait; None waits for ever.
    timeout: float | None
    # Whether the session continues when the machine is ready.
    stay: bool
    # Seconds that the guest has to shut down.
    stop_timeout: float


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """How a session ended, and the end of the console."""

    outcome: RunOutcome
    seconds: float
    console: str
    signal: int = 0
    # Whether the guest did not power off in time.
    late: bool = False
    # The conditions that were not met.
    unmet: tuple[str, ...] = ()


class Session:
    """The time that this process is attached to a machine's console."""

    def __init__(
        self,
        program: MachineProgram,
        console_socket: socket.socket,
        console: ConsoleIO,
        options: SessionOptions,
        probe: PortProbe | None,
        reporter: Reporter,
        watch: LogWatch | None = None,
    ) -> None:
        """Prepare the session; the machine is still paused."""
        self._program = program
        self._socket = console_socket
        self._console = console
        self._options = options
        self._probe = probe
        self._watch = watch
        self._reporter = reporter
        self._buffer = ConsoleBuffer()
        # Input that the guest has not read yet.
        self._pending = bytearray()
        self._selector = selectors.DefaultSelector()
        self._start = time.monotonic()
        self._waiting = bool(options.condition)
        self._matched = options.condition.pattern is None
        self._panic_at: float | None = None
        self._deadline = float("inf")
        self._late = False
        self._asked_to_stop = False

    def attend(self, on_panic: Callable[[str], None]) -> SessionEnd:
        """Resume the machine, and relay its console until the session ends.

        The machine may still run afterwards. Without a wait condition, `on_panic` is called with
        the console's text when the kernel panics or the firmware finds no boot device.
        """
        with self._selector:
            self._selector.register(self._socket, selectors.EVENT_READ)
            for handle in self._console.handles:
                # A closed or unusual standard input cannot be watched.
                with suppress(ValueError, OSError):
                    self._selector.register(handle, selectors.EVENT_READ)
            self._program.resume()
            while True:
                self._handle_events()
                outcome = self._outcome(on_panic)
                if outcome is not None:
                    self._read_rest()
                    return self._end(outcome)

    def _handle_events(self) -> None:
        for key, events in self._selector.select(_POLL_INTERVAL):
            if key.fileobj is self._socket:
                if events & selectors.EVENT_WRITE:
                    self._send_pending()
                if events & selectors.EVENT_READ:
                    self._read_console()
            else:
                self._read_input(key.fd)

    def _read_console(self) -> bool:
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            with suppress(KeyError):
                self._selector.unregister(self._socket)
            return False
        self._buffer.feed(data)
        self._console.write(data)
        return True

    def _read_input(self, handle: int) -> None:
        if len(self._pending) > _MAX_PENDING:
            # More input stays unread until the guest has read some.
            time.sleep(_INPUT_PAUSE)
            return
        data = self._console.read(handle)
        if data is None:
            self._selector.unregister(handle)
            return
        self._pending += data
        self._send_pending()

    def _send_pending(self) -> None:
        """Send as much of the input as the socket accepts; the guest may not read any."""
        with suppress(OSError):
            sent = self._socket.send(self._pending, socket.MSG_DONTWAIT) if self._pending else 0
            del self._pending[:sent]
        with suppress(KeyError, ValueError):
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._pending else 0)
            self._selector.modify(self._socket, events)

    def _outcome(self, on_panic: Callable[[str], None]) -> RunOutcome | None:
        now = time.monotonic()
        if self._program.ended:
            if self._asked_to_stop:
                return RunOutcome.STOPPED
            return RunOutcome.ENDED_EARLY if self._waiting else RunOutcome.ENDED
        if self._console.stop_requests and self._stop(now):
            return RunOutcome.STOPPED
        text = self._buffer.text()
        if self._panic_at is None and has_given_up(text):
            self._panic_at = now
        elif self._panic_at is not None and now - self._panic_at > _PANIC_DELAY:
            if self._waiting:
                return RunOutcome.GAVE_UP
            if self._panic_at > 0:
                on_panic(text)
                # Call it only once.
                self._panic_at = float("inf")
        if self._waiting and not self._asked_to_stop:
            return self._wait(text, now)
        return None

    def _wait(self, text: str, now: float) -> RunOutcome | None:
        pattern = self._options.condition.pattern
        self._matched = self._matched or (pattern is not None and bool(pattern.search(text)))
        logged = self._watch is None or self._watch.matched()
        answered = self._probe is None or self._probe.answered(self._program.qmp)
        if self._matched and logged and answered:
            self._waiting = False
            self._reporter.emit(LogMessage(f"ready after {now - self._start:.1f} s"))
            return None if self._options.stay else RunOutcome.READY
        if find_crash_loop(text) is not None:
            return RunOutcome.CRASH_LOOP
        timeout = self._options.timeout
        late = timeout is not None and now - self._start > timeout
        # No more output of the service will come.
        late = late or (self._watch is not None and bool(self._watch.failure))
        return RunOutcome.TIMED_OUT if late else None

    def _stop(self, now: float) -> bool:
        """Ask the guest to shut down at the first request; tell whether to end it at once."""
        if not self._asked_to_stop:
            self._asked_to_stop = True
            self._deadline = now + self._options.stop_timeout
            if self._options.stop_timeout > 0:
                self._reporter.emit(
                    LogMessage("shutting the machine down; a second request ends it at once")
                )
                self._program.press_power_button()
        if len(self._console.stop_requests) > 1:
            return True
        self._late = self._options.stop_timeout > 0 and now >= self._deadline
        return now >= self._deadline

    def _read_rest(self) -> None:
        """Read the remaining output from the console's socket."""
        self._socket.settimeout(0.1)
        while self._read_console():
            pass

    def _end(self, outcome: RunOutcome) -> SessionEnd:
        requests = self._console.stop_requests
        seconds = time.monotonic() - self._start
        text = self._buffer.text()
        # A line that matched may have left the buffer.
        seen = WaitCondition() if self._matched else self._options.condition
        unmet = seen.unmet(text, self._probe, self._watch) if self._waiting else ()
        first = requests[0] if requests else 0
        return SessionEnd(outcome, seconds, text, first, self._late, unmet)
