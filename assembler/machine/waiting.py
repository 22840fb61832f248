"""Waiting for a machine: for a text on its console, for a port that answers, or for its end."""

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

# What terminals obey and people do not read.
_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[ -/]*[0-~])")
# Whatever was waited for is looked for in this much of the console's end.
_WINDOW = 64 << 10
_MOMENT = 0.05


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is waited for; nothing means: until the machine ends."""

    pattern: re.Pattern[str] | None = None
    ports: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether anything is waited for."""
        return self.pattern is not None or bool(self.ports)


def wanted(text: str, ports: tuple[int, ...], network: Network) -> Wanted:
    """Return what the options mean, checked."""
    pattern = None
    if text:
        try:
            pattern = re.compile(text, re.MULTILINE)
        except re.error as error:
            raise UsageError.of(
                codes.WAITED_IN_VAIN, f"--wait-for: {text!r} is not a regular expression: {error}"
            ) from error
    published = {p.host for p in network.ports if p.protocol == "tcp"}
    for port in ports:
        if port not in published:
            raise UsageError.of(
                codes.BAD_PORT,
                f"--wait-port {port}: this port of this machine is not published",
                f"publish it: --publish {port}:{port}",
            )
    return Wanted(pattern, ports)


def plain(data: bytes) -> str:
    """Return what a console said, as text without what only terminals obey."""
    text = _ESCAPES.sub(b"", data).decode("utf-8", "replace")
    return text.replace("\r\n", "\n").replace("\r", "")


class Console:
    """What a console has said so far, as far as anybody wants to know."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._data = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take what was said."""
        self.total += len(data)
        self._data += data
        if len(self._data) > 2 * _WINDOW:
            del self._data[:-_WINDOW]

    def text(self) -> str:
        """Return the console's end as text."""
        return plain(bytes(self._data))


class PortProbe:
    """Finds out whether a guest accepts connections at a published port.

    QEMU itself accepts every connection at once; its table of connections tells whether the guest
    did as well.
    """

    def __init__(self, network: Network, ports: tuple[int, ...]) -> None:
        """Prepare to ask for ports of this machine."""
        self._left = {p.host: p for p in network.ports if p.host in ports}

    def answered(self, control: Control) -> bool:
        """Try once, and tell whether every port has answered by now."""
        for host, port in list(self._left.items()):
            address = "127.0.0.1" if port.address == "0.0.0.0" else port.address  # noqa: S104
            with suppress(OSError), socket.create_connection((address, host), timeout=1):
                if self._accepted(control, host):
                    del self._left[host]
        return not self._left

    def _accepted(self, control: Control, host: int) -> bool:
        # The guest needs a moment, and a refusal too: a few looks while the connection is open.
        for _ in range(5):
            try:
                table = control.connections()
            except ControlError:
                return False
            for line in table.splitlines():
                words = line.split()
                if line.strip().startswith("TCP[ESTABLISHED]") and words[3] == str(host):
                    return True
            time.sleep(_MOMENT)
        return False
