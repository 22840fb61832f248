"""Ports of this host that can be published: check one, find a free one."""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.description import Port


def free_port(address: str = "127.0.0.1") -> int:
    """Return a free port."""
    with socket.socket() as tried:
        tried.bind((address, 0))
        port: int = tried.getsockname()[1]
        return port


def check_port_free(port: Port) -> None:
    """Raise an error if a port cannot be published."""
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as tried:
        if port.protocol == "tcp":
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((port.address, port.host))
        except OSError as error:
            raise _not_free(port, error) from error


def _not_free(port: Port, error: OSError) -> MachineError:
    hints: Sequence[str] = (f"choose another: --publish {port.host + 10000}:{port.guest}",)
    what = error.strerror or "no"
    if error.errno == errno.EADDRINUSE:
        what = "something else listens to it"
    elif error.errno == errno.EADDRNOTAVAIL:
        what, hints = f"{port.address} is not an address of this host", ()
    return MachineError.of(
        codes.BAD_PORT, f"port {port.host}/{port.protocol} cannot be published: {what}", *hints
    )
