"""Talking to a running QEMU: the control socket (QMP) and the console's socket."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_PATIENCE = 10.0
_LONGEST = 4 << 20


class ControlError(Exception):
    """The machine's program does not answer, or refuses."""


@contextmanager
def socket_path(folder: Path, name: str) -> Iterator[str]:
    """Give a short path of a socket in a folder: names of sockets are at most 107 bytes long."""
    if sys.platform != "linux":
        yield str(folder / name)
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{handle}/{name}"
    finally:
        os.close(handle)


def connect_socket(folder: Path, name: str) -> socket.socket:
    """Connect to a socket in a folder, however long the folder's path is."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(_PATIENCE)
        with socket_path(folder, name) as place:
            connected.connect(place)
    except BaseException:
        connected.close()
        raise
    return connected


class Control:
    """A connection to the control socket, ready for commands."""

    def __init__(self, folder: Path, name: str) -> None:
        """Connect, and agree on the protocol."""
        try:
            self._socket = connect_socket(folder, name)
        except OSError as error:
            raise ControlError(str(error)) from error
        self._rest = b""
        try:
            self._message()
            self.execute("qmp_capabilities")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Give the connection."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection; the machine goes on."""
        self._socket.close()

    def execute(self, command: str, **arguments: Any) -> Any:  # noqa: ANN401 - JSON
        """Run a command and return what it returns."""
        asked = {"execute": command, **({"arguments": arguments} if arguments else {})}
        try:
            self._socket.sendall(json.dumps(asked).encode() + b"\n")
        except OSError as error:
            raise ControlError(str(error)) from error
        while True:
            said = self._message()
            if "return" in said:
                return said["return"]
            if "error" in said:
                raise ControlError(str(said["error"].get("desc", "refused")))

    def connections(self) -> str:
        """Return the table of the user network's connections."""
        return str(self.execute("human-monitor-command", **{"command-line": "info usernet"}))

    def power_button(self) -> None:
        """Press the power button, which the guest may heed."""
        self.execute("system_powerdown")

    def quit(self) -> None:
        """End the machine at once."""
        # It may be gone before it answers.
        with suppress(ControlError):
            self.execute("quit")

    def _message(self) -> dict[str, Any]:
        while b"\n" not in self._rest:
            try:
                data = self._socket.recv(65536)
            except OSError as error:
                raise ControlError(str(error)) from error
            if not data or len(self._rest) > _LONGEST:
                raise ControlError("the connection ended")
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            said = json.loads(line)
        except ValueError as error:
            raise ControlError("the answer is not JSON") from error
        if not isinstance(said, dict):
            raise ControlError("the answer is not an object")
        return said
