"""Find and check free ports of this host."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.machine.description import Port


def free_port(address: str = "127.0.0.1") -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
        return port


def check_port_free(port: Port) -> None:
    """Raise an error if a port is not free."""
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as probe:
        if port.protocol == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((port.address, port.host))
        except OSError as error:
            raise _not_free(port, error) from error


def _not_free(port: Port, error: OSError) -> MachineError:
    hints: Sequence[str] = (f"choose another: --publish {port.host + 10000}:{port.guest}",)
    reason = error.strerror or "no"
    if error.errno == errno.EADDRINUSE:
        reason = "it is already in use"
    elif error.errno == errno.EADDRNOTAVAIL:
        reason, hints = f"{port.address} is not an address of this host", ()
    return MachineError.of(
        codes.BAD_PORT, f"port {port.host}/{port.protocol} cannot be published: {reason}", *hints
    )
