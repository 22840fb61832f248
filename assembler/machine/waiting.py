"""Conditions to wait for: a text on the console, and ports that the guest accepts."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass

from assembler.codes import machine as codes
from assembler.errors import UsageError
from assembler.machine.control import Control, ControlError
from assembler.machine.description import Network

# Escape sequences of terminals.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])")
# Texts are looked for in this many bytes of the console's end.
_WINDOW = 64 << 10
# Seconds that one attempt to connect may take.
_ATTEMPT = 1.5


@dataclass(frozen=True, slots=True)
class WaitCondition:
    """A text and ports to wait for; without any, a run waits for the machine's end."""

    pattern: re.Pattern[str] | None = None
    ports: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is waited for."""
        return self.pattern is not None or bool(self.ports)


def parse_wait_condition(text: str, ports: tuple[int, ...], network: Network) -> WaitCondition:
    """Return the condition that the options describe."""
    pattern = compile_pattern(text) if text else None
    published = {p.host for p in network.ports if p.protocol == "tcp"}
    for port in ports:
        if port not in published:
            raise UsageError.of(
                codes.BAD_PORT,
                f"--wait-port {port}: this port of this host is not published",
                f"publish it: --publish {port}:{port}",
            )
    return WaitCondition(pattern, ports)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression for lines of the console."""
    try:
        return re.compile(text, re.MULTILINE)
    except re.error as error:
        raise UsageError.of(
            codes.WAIT_FAILED, f"--wait-for: {text!r} is not a regular expression: {error}"
        ) from error


def plain_text(data: bytes) -> str:
    """Return the output of a console as text without escape sequences."""
    text = _ESCAPES.sub(b"", data).decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "")


class ConsoleBuffer:
    """The end of a console's output."""

    def __init__(self) -> None:
        """Make an empty buffer."""
        self._data = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Add output."""
        self.total += len(data)
        self._data += data
        if len(self._data) > 2 * _WINDOW:
            del self._data[:-_WINDOW]

    def text(self) -> str:
        """Return the buffer as plain text."""
        return plain_text(bytes(self._data))


class PortProbe:
    """Checks whether a guest accepts connections at published ports.

    QEMU itself accepts every connection at once; its table of connections tells whether the guest
    did as well. A connection is kept open meanwhile, but not for long: the pauses between QEMU's
    own attempts grow.
    """

    def __init__(self, network: Network, ports: tuple[int, ...]) -> None:
        """Prepare to check ports of this host."""
        self._left = {p.host: p for p in network.ports if p.host in ports and p.protocol == "tcp"}
        self._open: dict[int, tuple[socket.socket, float]] = {}

    def answered(self, control: Control) -> bool:
        """Check once, and tell whether every port has answered by now."""
        accepted = _accepted(control) if self._open else set()
        for host, port in list(self._left.items()):
            opened = self._open.get(host)
            if opened is not None:
                tried, since = opened
                found = host in accepted and not _closed(tried)
                if not found and not _closed(tried) and time.monotonic() - since < _ATTEMPT:
                    continue
                tried.close()
                del self._open[host]
                if found:
                    del self._left[host]
                    continue
            address = (port.reachable_address, host)
            with suppress(OSError):
                self._open[host] = (socket.create_connection(address, 1), time.monotonic())
        return not self._left

    def close(self) -> None:
        """Close all connections."""
        for tried, _since in self._open.values():
            tried.close()
        self._open.clear()


def _closed(connection: socket.socket) -> bool:
    """Tell whether the other side has closed the connection without sending anything."""
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _accepted(control: Control) -> set[int]:
    """Return the ports of this host with connections that the guest has accepted."""
    found: set[int] = set()
    try:
        table = control.connections()
    except ControlError:
        return found
    for line in table.splitlines():
        words = line.split()
        if len(words) > 3 and words[0] == "TCP[ESTABLISHED]" and words[3].isdigit():
            found.add(int(words[3]))
    return found
