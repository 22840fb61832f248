"""Attach to the console of a machine that runs detached."""

from __future__ import annotations

import fcntl
import selectors
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.backend import CONSOLE_SOCKET
from assembler.machine.console_log import console_tail
from assembler.machine.qmp import connect_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.machine.console_io import ConsoleIO
    from assembler.machine.records import RecordedMachine

_LOCK = "console.lock"
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class AttachResult:
    """How a console session ended."""

    # The user detached, and the machine keeps running.
    left: bool
    # The signal that ended the session, or 0.
    signal: int = 0


def attach(machine: RecordedMachine, console: ConsoleIO) -> AttachResult:
    """Connect `console` to a machine's console until the user leaves or the machine ends."""
    name = machine.record.name
    if not machine.alive:
        raise MachineError.of(
            codes.MACHINE_NOT_FOUND, f"{name} has ended", f"its output: dolmen logs {name}"
        )
    owner = machine.record.owner
    if owner is not None and owner.alive:
        raise MachineError.of(
            codes.MACHINE_BUSY,
            f"the console of {name} is attached to the `dolmen run` that started it",
        )
    with console_lock(machine.folder, name):
        try:
            console_socket = connect_socket(machine.folder, CONSOLE_SOCKET)
        except OSError as error:
            raise MachineError.of(
                codes.MACHINE_NOT_FOUND, f"{name} does not answer: {error.strerror or error}"
            ) from error
        with console_socket, console.opened(), console.attached():
            console_socket.setblocking(True)
            console.write(console_tail(machine.folder).replace("\n", "\r\n").encode())
            left = _relay(console_socket, console)
    requests = console.stop_requests
    return AttachResult(left, requests[0] if requests else 0)


@contextmanager
def console_lock(folder: Path, name: str) -> Iterator[None]:
    """Lock the console, as QEMU lets a second client wait without an answer."""
    with wrap_os_errors(folder), (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MachineError.of(
                codes.MACHINE_BUSY,
                f"another process is attached to the console of {name}",
                f"to read it: dolmen logs -f {name}",
            ) from None
        yield


def _relay(console_socket: socket.socket, console: ConsoleIO) -> bool:
    """Relay input and output; return True if the user detached, False if the machine ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(console_socket, selectors.EVENT_READ)
        for handle in console.handles:
            with suppress(ValueError, OSError):
                selector.register(handle, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fileobj is console_socket:
                    data = console_socket.recv(_CHUNK)
                    if not data:
                        return False
                    console.write(data)
                    continue
                typed = console.read(key.fd)
                if typed is None:
                    selector.unregister(key.fd)
                else:
                    console_socket.sendall(typed)
                if console.stop_requests:
                    return True
