"""Wait conditions: a text on the console or of a service, and ports that accept connections."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import UsageError
from assembler.machine.log_watch import LogPattern, split_log_condition
from assembler.machine.qmp import QmpClient, QmpError

if TYPE_CHECKING:
    from assembler.machine.description import Network, Port
    from assembler.machine.log_watch import LogWatch

# Seconds for one attempt to connect.
_CONNECT_TIMEOUT = 1.5


@dataclass(frozen=True, slots=True)
class WaitCondition:
    """A text and ports to wait for; an empty condition waits for the machine's end."""

    # A text on the console.
    pattern: re.Pattern[str] | None = None
    ports: tuple[int, ...] = ()
    # A text that a service prints.
    log: LogPattern | None = None

    def unmet(
        self, text: str, probe: PortProbe | None, watch: LogWatch | None = None
    ) -> tuple[str, ...]:
        """Return what the console's text, the service and the ports still lack, in words."""
        found = []
        if self.pattern is not None and not self.pattern.search(text):
            found.append(f"no line of the console matched {self.pattern.pattern!r}")
        if watch is not None and not watch.matched():
            found.append(watch.unmet)
        if probe is not None:
            found += [
                f"port {p.host} of this host (port {p.guest} of the guest) did not answer"
                for p in probe.pending
            ]
        return tuple(found)

    def __bool__(self) -> bool:
        """Tell whether the condition has a text or ports."""
        return self.pattern is not None or self.log is not None or bool(self.ports)


def parse_wait_condition(text: str, ports: tuple[int, ...], network: Network) -> WaitCondition:
    """Return the condition that the options describe."""
    service, text = split_log_condition(text)
    pattern = compile_pattern(text) if text else None
    published = {p.host for p in network.ports if p.protocol == "tcp"}
    for port in ports:
        if port not in published:
            raise UsageError.of(
                codes.BAD_PORT,
                f"--wait-port {port}: port {port} of this host is not published",
                f"publish it: --publish {port}:{port}",
            )
    if service and pattern is not None:
        return WaitCondition(None, ports, LogPattern(service, pattern))
    return WaitCondition(pattern, ports)


def compile_pattern(text: str) -> re.Pattern[str]:
    """Return a regular expression for lines of the console or of a service."""
    try:
        return re.compile(text, re.MULTILINE)
    except re.error as error:
        raise UsageError.of(
            codes.WAIT_FAILED, f"--wait-for: {text!r} is not a regular expression: {error}"
        ) from error


class PortProbe:
    """A probe of whether a guest accepts connections at published ports.

    QEMU accepts every connection at once; its connection table shows whether the guest has accepted
    it too. Connections are reopened after a short time, as the pauses between QEMU's retries grow.
    """

    def __init__(self, network: Network, ports: tuple[int, ...]) -> None:
        """Prepare to check ports of this host."""
        self._pending = {
            p.host: p for p in network.ports if p.host in ports and p.protocol == "tcp"
        }
        self._open: dict[int, tuple[socket.socket, float]] = {}

    @property
    def pending(self) -> tuple[Port, ...]:
        """Return the ports that have not answered yet."""
        return tuple(self._pending.values())

    def answered(self, qmp: QmpClient) -> bool:
        """Check once; tell whether every port has answered by now."""
        accepted = _accepted_ports(qmp) if self._open else set()
        for host, port in list(self._pending.items()):
            opened = self._open.get(host)
            if opened is not None:
                connection, since = opened
                found = host in accepted and not _is_closed(connection)
                if (
                    not found
                    and not _is_closed(connection)
                    and time.monotonic() - since < _CONNECT_TIMEOUT
                ):
                    continue
                connection.close()
                del self._open[host]
                if found:
                    del self._pending[host]
                    continue
            address = (port.reachable_address, host)
            with suppress(OSError):
                self._open[host] = (socket.create_connection(address, 1), time.monotonic())
        return not self._pending

    def close(self) -> None:
        """Close all connections."""
        for connection, _since in self._open.values():
            connection.close()
        self._open.clear()


def _is_closed(connection: socket.socket) -> bool:
    """Tell whether the peer has closed the connection without sending anything."""
    connection.setblocking(False)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _accepted_ports(qmp: QmpClient) -> set[int]:
    """Return the ports of this host with connections that the guest has accepted."""
    found: set[int] = set()
    try:
        table = qmp.connections()
    except QmpError:
        return found
    for line in table.splitlines():
        words = line.split()
        if len(words) > 3 and words[0] == "TCP[ESTABLISHED]" and words[3].isdigit():
            found.add(int(words[3]))
    return found
