"""Control a running QEMU over QMP, and connect to its sockets."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from assembler.descriptors import descriptor_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

_TIMEOUT = 10.0
_MAX_MESSAGE = 4 << 20


class QmpError(Exception):
    """QEMU does not answer, or refuses a command."""


@contextmanager
def socket_path(folder: Path, name: str) -> Iterator[str]:
    """Yield a short path of a socket: a socket's path has at most 107 bytes."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        short = descriptor_path(handle)
        yield f"{short}/{name}" if short else str(folder / name)
    finally:
        os.close(handle)


def connect_socket(folder: Path, name: str) -> socket.socket:
    """Connect to a socket in a folder, whose path may be long."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_TIMEOUT)
        with socket_path(folder, name) as path:
            connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


class QmpClient:
    """A connection to the control socket after the QMP handshake."""

    def __init__(self, folder: Path, name: str) -> None:
        """Connect, and negotiate capabilities."""
        try:
            self._socket = connect_socket(folder, name)
        except OSError as error:
            raise QmpError(str(error)) from error
        self._buffer = b""
        try:
            self._read_message()
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Return the connection."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection; the machine keeps running."""
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it returns."""
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(str(error)) from error
        while True:
            message = self._read_message()
            if "return" in message:
                return message["return"]
            if "error" in message:
                raise QmpError(str(message["error"].get("desc", "refused")))

    def connections(self) -> str:
        """Return the connection table of QEMU's user-mode network."""
        return str(self.execute("human-monitor-command", **{"command-line": "info usernet"}))

    def power_button(self) -> None:
        """Press the ACPI power button, which the guest may ignore."""
        self.execute("system_powerdown")

    def quit(self) -> None:
        """End the machine at once."""
        # QEMU may exit before it answers.
        with suppress(QmpError):
            self.execute("quit")

    def _read_message(self) -> dict[str, Any]:
        while b"\n" not in self._buffer:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise QmpError(str(error)) from error
            if not data or len(self._buffer) > _MAX_MESSAGE:
                raise QmpError("the connection ended")
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError as error:
            raise QmpError("the answer is not JSON") from error
        if not isinstance(message, dict):
            raise QmpError("the answer is not an object")
        return message
