"""Logs and commands of services in a guest, through the guest's agent."""

from __future__ import annotations

import codecs
import json
import selectors
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.agent_frames import INPUT_WINDOW, MAX_PAYLOAD, FrameError, FrameKind
from assembler.machine.agent_session import AgentSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from assembler.machine.agent_frames import Frame
    from assembler.machine.records import RecordedMachine

# Seconds that the agent has to answer.
AGENT_TIMEOUT = 10.0
# Seconds without output, in which a log that is not followed should end.
_IDLE_TIMEOUT = 60.0
_MAX_SERVICES = 1 << 20


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service of a guest, and its state in the words of its init."""

    name: str
    state: str


class CommandIO(Protocol):
    """The standard files of a command, and the requests of its user."""

    @property
    def input_handle(self) -> int | None:
        """Return the file descriptor to read input from, or None without input."""

    @property
    def event_handle(self) -> int | None:
        """Return a file descriptor that is readable when there are events, or None."""

    @property
    def terminal_size(self) -> tuple[int, int] | None:
        """Return columns and rows of the terminal, or None without one."""

    @property
    def terminal_type(self) -> str:
        """Return the type of the terminal, such as xterm."""

    def attached(self) -> AbstractContextManager[object]:
        """Prepare the terminal for the block."""

    def take_events(self) -> Sequence[int]:
        """Return signals for the command since the last call; 0 is a new size of the terminal.

        Raise an error to end the session.
        """

    def read_input(self) -> bytes | None:
        """Return input from the readable handle, or None at its end."""

    def write_output(self, data: bytes) -> None:
        """Write to standard output."""

    def write_errors(self, data: bytes) -> None:
        """Write to standard error."""


def read_service_log(
    machine: RecordedMachine,
    service: str,
    *,
    follow: bool = False,
    timeout: float = AGENT_TIMEOUT,
) -> Iterator[str]:
    """Yield the output of a service; with `follow`, until the machine ends."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    request = {"do": "logs", "service": service, "follow": follow}
    with _session(machine, request) as session:
        frames = session.open(timeout)
        while True:
            for frame in frames:
                if frame.kind != FrameKind.OUTPUT:
                    raise _unexpected(frame)
                yield decode(frame.payload)
            if session.status is not None:
                break
            try:
                frames = session.wait(None if follow else _IDLE_TIMEOUT)
            except MachineError:
                if follow and session.is_lost:
                    break
                raise
            if not frames and session.status is None:
                raise _unavailable(f"the log did not go on within {_IDLE_TIMEOUT:g} s")
        yield decode(b"", final=True)


def list_services(machine: RecordedMachine, timeout: float = AGENT_TIMEOUT) -> list[ServiceState]:
    """Return the services of a guest."""
    deadline = time.monotonic() + timeout
    data = b""
    with _session(machine, {"do": "services"}) as session:
        frames = session.open(timeout)
        while True:
            data += b"".join(f.payload for f in frames if f.kind == FrameKind.OUTPUT)
            left = deadline - time.monotonic()
            if session.status is not None or left <= 0 or len(data) > _MAX_SERVICES:
                break
            frames = session.wait(left)
    try:
        found = [json.loads(line) for line in data.splitlines()]
        return [ServiceState(str(one["name"]), str(one["state"])) for one in found]
    except (ValueError, TypeError, KeyError) as error:
        raise _unavailable(f"the guest does not keep to the protocol: {error}") from error


def run_command(
    machine: RecordedMachine,
    service: str,
    command: Sequence[str],
    files: CommandIO,
    *,
    timeout: float = AGENT_TIMEOUT,
) -> int:
    """Run a command in the container of a service; return its exit status."""
    size = files.terminal_size
    request: dict[str, object] = {"do": "exec", "service": service, "command": list(command)}
    request["input"] = files.input_handle is not None
    if size is not None:
        columns, rows = size
        terminal = {"columns": columns, "rows": rows, "type": files.terminal_type}
        request |= {"terminal": True, **terminal}
    with _session(machine, request) as session:
        frames = session.open(timeout)
        with files.attached():
            return _Relay(session, files).run(frames)


class _Relay:
    """Relays the files of a command until it ends."""

    def __init__(self, session: AgentSession, files: CommandIO) -> None:
        self._session = session
        self._files = files
        self._allowed = INPUT_WINDOW
        self._input = files.input_handle

    def run(self, frames: list[Frame]) -> int:
        """Return the exit status of the command."""
        # Unlike epoll, it takes regular files.
        with selectors.SelectSelector() as selector:
            while True:
                for frame in frames:
                    self._show(frame)
                if self._session.status is not None:
                    return self._session.status
                frames = self._next(selector)

    def _next(self, selector: selectors.SelectSelector) -> list[Frame]:
        for key in list(selector.get_map().values()):
            selector.unregister(key.fileobj)
        selector.register(self._session, self._session.events)
        if self._files.event_handle is not None:
            selector.register(self._files.event_handle, selectors.EVENT_READ)
        if self._input is not None and self._allowed >= MAX_PAYLOAD:
            selector.register(self._input, selectors.EVENT_READ)
        ready = {key.fd for key, _ in selector.select()}
        if self._files.event_handle in ready:
            self._send_events()
        if self._input in ready:
            self._send_input()
        self._session.flush()
        return self._session.receive() if self._session.fileno() in ready else []

    def _send_events(self) -> None:
        for number in self._files.take_events():
            if number:
                self._session.send(FrameKind.SIGNAL, bytes([number]))
            elif (size := self._files.terminal_size) is not None:
                payload = b"".join(value.to_bytes(2, "big") for value in size)
                self._session.send(FrameKind.SIZE, payload)

    def _send_input(self) -> None:
        data = self._files.read_input()
        if data is None:
            self._input = None
            self._session.send(FrameKind.INPUT)
        for at in range(0, len(data or b""), MAX_PAYLOAD):
            part = (data or b"")[at : at + MAX_PAYLOAD]
            self._allowed -= len(part)
            self._session.send(FrameKind.INPUT, part)

    def _show(self, frame: Frame) -> None:
        match frame.kind:
            case FrameKind.OUTPUT:
                self._files.write_output(frame.payload)
            case FrameKind.ERRORS:
                self._files.write_errors(frame.payload)
            case FrameKind.CREDIT:
                self._allowed = min(
                    self._allowed + int.from_bytes(frame.payload, "big"), INPUT_WINDOW
                )
            case FrameKind.STARTED:
                pass
            case _:
                raise _unexpected(frame)


def _session(machine: RecordedMachine, request: dict[str, object]) -> AgentSession:
    name = machine.record.name
    if not machine.alive:
        raise MachineError.of(
            codes.MACHINE_NOT_FOUND, f"{name} has ended", f"its console: dolmen logs {name}"
        )
    return AgentSession(machine.folder, request)


def _unexpected(frame: Frame) -> MachineError:
    return _unavailable(
        f"the guest does not keep to the protocol: {FrameError(f'a frame of kind {frame.kind}')}"
    )


def _unavailable(problem: str) -> MachineError:
    return MachineError.of(codes.AGENT_UNAVAILABLE, problem)
