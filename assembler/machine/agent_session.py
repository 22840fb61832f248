"""A session with the agent in a guest: one request over a port of the machine.

The guest is not trusted: frames are bounded, and what is not as the protocol says ends the session.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.machine.agent_frames import (
    MAX_PAYLOAD,
    PROTOCOL,
    RESET,
    Frame,
    FrameError,
    FrameKind,
    FrameParser,
    encode_frame,
)
from assembler.machine.backend import AGENT_PORTS, AGENT_SOCKET
from assembler.machine.qmp import connect_socket

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

_LOCK = "agent{}.lock"
_CHUNK = 65536
# The statuses of a shell for a program that cannot be executed or is missing.
_NOT_STARTED = (126, 127)
_MAX_STATUS = 255


class AgentSession:
    """A connection to the agent; nothing blocks but `wait`."""

    def __init__(self, folder: Path, request: Mapping[str, Any]) -> None:
        """Take a free port of the machine in `folder`, and send the request."""
        data = json.dumps(request).encode()
        if len(data) > MAX_PAYLOAD:
            raise _unavailable(
                f"a request to the guest has at most {MAX_PAYLOAD} bytes, this one {len(data)}"
            )
        self._cleanup = ExitStack()
        try:
            self._socket = _take_port(folder, self._cleanup)
        except BaseException:
            self._cleanup.close()
            raise
        self._socket.setblocking(False)
        self._parser = FrameParser()
        self._nonce = os.urandom(16).hex()
        # Whether the agent has answered.
        self.is_open = False
        # Whether the machine has ended.
        self.is_lost = False
        # The status that the session ended with.
        self.status: int | None = None
        hello = json.dumps({"protocol": PROTOCOL, "nonce": self._nonce}).encode()
        self._unsent = bytearray(RESET)
        self.send(FrameKind.HELLO, hello)
        self.send(FrameKind.REQUEST, data)

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the connection; the guest ends what it does for it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._cleanup.close()

    def fileno(self) -> int:
        """Return the socket's file descriptor for selectors."""
        return self._socket.fileno()

    @property
    def events(self) -> int:
        """Return the events that a selector should wait for."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        """Send a frame, now or with one of the next calls."""
        self._unsent += encode_frame(kind, payload)
        self.flush()

    def flush(self) -> None:
        """Send as much as the connection takes."""
        with suppress(BlockingIOError), self._lost_connection():
            while self._unsent:
                sent = self._socket.send(self._unsent)
                del self._unsent[:sent]

    def receive(self) -> list[Frame]:
        """Return the frames that have arrived; the status is set if the last one is END."""
        self.flush()
        try:
            with self._lost_connection():
                data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        if not data:
            self.is_lost = True
            raise _unavailable("the machine has ended")
        frames: list[Frame] = []
        try:
            for frame in self._parser.feed(data):
                self._take(frame, frames)
                if self.status is not None:
                    break
        except (FrameError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise _unavailable(f"the guest does not keep to the protocol: {error}") from error
        return frames

    def wait(self, timeout: float | None) -> list[Frame]:
        """Wait for frames; without any in time, return none."""
        with selectors.SelectSelector() as selector:
            deadline = None if timeout is None else time.monotonic() + timeout
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left < 0:
                    return []
                selector.register(self, self.events)
                selector.select(left)
                selector.unregister(self)
                frames = self.receive()
                if frames or self.status is not None:
                    return frames

    def open(self, timeout: float) -> list[Frame]:
        """Wait until the agent answers, or raise an error after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self.is_open:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _unavailable(
                    f"the agent of the guest has not answered within {timeout:g} s",
                    "the image has to allow it: add dolmen.agent to `kernel: cmdline:`",
                    "if the machine is still starting: --timeout 60s",
                )
            frames = self.wait(left)
            if frames:
                return frames
        return []

    def _take(self, frame: Frame, frames: list[Frame]) -> None:
        if not self.is_open:
            # Frames of an earlier session may still be on their way.
            if frame.kind == FrameKind.HELLO:
                hello = json.loads(frame.payload)
                if hello["nonce"] == self._nonce:
                    if hello["protocol"] != PROTOCOL:
                        raise _unavailable(
                            f"the agent speaks version {int(hello['protocol'])} of the protocol, "
                            f"this Dolmen version {PROTOCOL}"
                        )
                    self.is_open = True
        elif frame.kind == FrameKind.END:
            end = json.loads(frame.payload)
            self.status = min(max(int(end["status"]), 0), _MAX_STATUS)
            if problem := str(end.get("error", "")):
                refused = MachineError.of(codes.AGENT_REFUSED, problem)
                if self.status in _NOT_STARTED:
                    refused.status = self.status
                raise refused
        elif frame.kind in (
            FrameKind.STARTED,
            FrameKind.OUTPUT,
            FrameKind.ERRORS,
            FrameKind.CREDIT,
        ):
            frames.append(frame)
        else:
            raise FrameError(f"a frame of kind {frame.kind}")

    @contextmanager
    def _lost_connection(self) -> Iterator[None]:
        """Turn errors of the socket, except blocking, into the machine's end."""
        try:
            yield
        except BlockingIOError:
            raise
        except OSError as error:
            self.is_lost = True
            raise _unavailable("the machine has ended") from error


def _take_port(folder: Path, cleanup: ExitStack) -> socket.socket:
    """Connect to the first port of the agent that no other process uses."""
    if not (folder / AGENT_SOCKET.format(0)).exists():
        raise _unavailable("the machine has no port for an agent, or has ended")
    for number in range(AGENT_PORTS):
        with wrap_os_errors(folder):
            lock = cleanup.enter_context((folder / _LOCK.format(number)).open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        try:
            connection = connect_socket(folder, AGENT_SOCKET.format(number))
        except OSError as error:
            raise _unavailable(f"the machine does not answer: {error.strerror or error}") from error
        return cleanup.enter_context(connection)
    raise MachineError.of(
        codes.MACHINE_BUSY,
        f"all {AGENT_PORTS} ports of the guest's agent are in use",
        "end one of the commands, or of the logs that are followed",
    )


def _unavailable(problem: str, *hints: str) -> MachineError:
    return MachineError.of(codes.AGENT_UNAVAILABLE, problem, *hints)
