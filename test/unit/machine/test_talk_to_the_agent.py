"""The host and the agent in a guest exchange frames; the guest may be hostile."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.errors import MachineError
from assembler.machine.agent import list_services, read_service_log, run_command
from assembler.machine.agent_frames import (
    INPUT_WINDOW,
    MAX_PAYLOAD,
    RESET,
    Frame,
    FrameError,
    FrameKind,
    FrameParser,
    encode_frame,
)
from assembler.machine.backend import AGENT_PORTS, AGENT_SOCKET
from assembler.machine.description import Network
from assembler.machine.log_watch import LogWatch
from assembler.machine.process_identity import Process
from assembler.machine.records import RecordedMachine, RunRecord
from assembler.machine.wait_conditions import parse_wait_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

END = encode_frame(FrameKind.END, b'{"status": 0}')


def output(data: bytes) -> bytes:
    return encode_frame(FrameKind.OUTPUT, data)


def parse(data: bytes, size: int = 1 << 20) -> list[Frame]:
    parser = FrameParser()
    return [f for at in range(0, len(data), size) for f in parser.feed(data[at : at + size])]


@given(
    frames=st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=300))),
    padding=st.integers(0, 9),
    size=st.integers(1, 64),
)
def test_frames_survive_any_cut(
    frames: list[tuple[FrameKind, bytes]], padding: int, size: int
) -> None:
    data = b"".join(bytes(padding) + encode_frame(k, p) for k, p in frames)
    assert parse(data, size) == [Frame(k, p) for k, p in frames]


@settings(max_examples=500)
@given(data=st.binary(max_size=400), size=st.integers(1, 64))
def test_the_parser_takes_anything(data: bytes, size: int) -> None:
    parser = FrameParser()
    try:
        for at in range(0, len(data), size):
            list(parser.feed(data[at : at + size]))
    except FrameError:
        pass


def test_damage_and_length_are_noticed() -> None:
    whole = bytearray(output(b"text"))
    whole[-1] ^= 1
    with pytest.raises(FrameError, match="checksum"):
        parse(bytes(whole))
    with pytest.raises(FrameError, match="16385 bytes"):
        parse(bytes([0x11, 0, 0x40, 1]))
    assert parse(output(bytes(MAX_PAYLOAD))) == [Frame(0x11, bytes(MAX_PAYLOAD))]
    with pytest.raises(ValueError, match="at most"):
        encode_frame(FrameKind.INPUT, bytes(MAX_PAYLOAD + 1))


class Guest:
    """A guest whose agent answers as a test wants."""

    def __init__(self, folder: Path, answer: Callable[[socket.socket, str], None]) -> None:
        """Listen at the first port of the machine in the folder."""
        self._answer = answer
        self.requests: list[dict[str, object]] = []
        self.input = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / AGENT_SOCKET.format(0)))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        parser = FrameParser()
        nonce = ""
        # The host may end the connection with answers that it has not read.
        with connection, suppress(ConnectionError):
            while data := connection.recv(65536):
                for frame in parser.feed(data):
                    if frame.kind == FrameKind.HELLO:
                        nonce = json.loads(frame.payload)["nonce"]
                    elif frame.kind == FrameKind.REQUEST:
                        self.requests.append(json.loads(frame.payload))
                        self._answer(connection, nonce)
                    elif frame.kind == FrameKind.INPUT:
                        self.input += frame.payload
                        if not frame.payload:
                            connection.sendall(output(self.input[::-1][:4]) + END)
                        else:
                            used = len(frame.payload).to_bytes(4, "big")
                            connection.sendall(encode_frame(FrameKind.CREDIT, used))

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


def hello(nonce: str, protocol: int = 1) -> bytes:
    return encode_frame(
        FrameKind.HELLO, json.dumps({"protocol": protocol, "nonce": nonce}).encode()
    )


@pytest.fixture
def machine(tmp_path: Path) -> RecordedMachine:
    """Return a machine whose process is that of the test."""
    me = Process.of(threading.main_thread().native_id or 0)
    record = RunRecord("m", "image", me, None, "amd64", "tcg", 256, 1, (), 0)
    return RecordedMachine(tmp_path, record)


@pytest.fixture
def answer(tmp_path: Path) -> Iterator[Callable[..., Guest]]:
    """Give a function that starts a guest which says these bytes after its hello."""
    guests: list[Guest] = []

    def start(data: bytes = b"", before: bytes = b"", protocol: int = 1) -> Guest:
        def say(connection: socket.socket, nonce: str) -> None:
            connection.sendall(before + hello(nonce, protocol) + data)

        guests.append(Guest(tmp_path, say))
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


def test_a_log_arrives_whole(machine: RecordedMachine, answer: Callable[..., Guest]) -> None:
    # Frames of an earlier session come first, and a character is cut in two.
    before = output(b"not for us") + END + hello("another")
    guest = answer(output("né".encode()[:2]) + output("né".encode()[2:]) + END, before)
    assert "".join(read_service_log(machine, "web")) == "né"
    assert guest.requests == [{"do": "logs", "service": "web", "follow": False}]


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (encode_frame(FrameKind.END, b'{"status":1,"error":"no \\u001b[2J"}'), "DM1018", "no \x1b"),
        (encode_frame(FrameKind.END, b"[]"), "DM1017", "does not keep to the protocol"),
        (encode_frame(FrameKind.END, b'{"status":"x"}'), "DM1017", "protocol"),
        (encode_frame(FrameKind.END, b"\xff"), "DM1017", "protocol"),
        (encode_frame(FrameKind.INPUT, b"x"), "DM1017", "a frame of kind 3"),
        (encode_frame(FrameKind.ERRORS, b"x"), "DM1017", "a frame of kind 18"),
        (b"\xff" * 100, "DM1017", "a frame of 16777215 bytes"),
    ],
)
def test_a_hostile_guest_is_an_error(
    machine: RecordedMachine,
    answer: Callable[..., Guest],
    data: bytes,
    code: str,
    message: str,
) -> None:
    answer(data)
    with pytest.raises(MachineError) as caught:
        list(read_service_log(machine, "web"))
    (diagnostic,) = caught.value.diagnostics
    assert str(diagnostic.code) == code
    assert message in diagnostic.message


def test_a_silent_guest_is_given_up(
    machine: RecordedMachine, answer: Callable[..., Guest], tmp_path: Path
) -> None:
    with pytest.raises(MachineError, match="no port for an agent"):
        list_services(machine)
    guest = Guest(tmp_path, lambda _connection, _nonce: None)
    with pytest.raises(MachineError, match=r"has not answered within 0\.2 s"):
        list(read_service_log(machine, "web", timeout=0.2))
    guest.close()
    (tmp_path / AGENT_SOCKET.format(0)).unlink()
    answer(protocol=2)
    with pytest.raises(MachineError, match="version 2 of the protocol"):
        list_services(machine)


def test_services_are_listed(machine: RecordedMachine, answer: Callable[..., Guest]) -> None:
    lines = b'{"name":"a","state":"running"}\n{"name":"b","state":"stopped"}\n'
    answer(output(lines[:9]) + output(lines[9:]) + END)
    found = list_services(machine)
    assert [(s.name, s.state) for s in found] == [("a", "running"), ("b", "stopped")]


class Files:
    """The files of a command: input from a file, output in memory."""

    event_handle = None
    terminal_size = None
    terminal_type = ""

    def __init__(self, path: Path) -> None:
        """Open the input."""
        self._file = path.open("rb", buffering=0)
        self.output = b""
        self.errors = b""

    @property
    def input_handle(self) -> int | None:
        return self._file.fileno()

    def attached(self) -> Files:
        return self

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def take_events(self) -> list[int]:
        return []

    def read_input(self) -> bytes | None:
        return self._file.read(100_000) or None

    def write_output(self, data: bytes) -> None:
        self.output += data

    def write_errors(self, data: bytes) -> None:
        self.errors += data


def test_input_waits_for_credit(
    machine: RecordedMachine, answer: Callable[..., Guest], tmp_path: Path
) -> None:
    content = bytes(range(256)) * 2000
    (tmp_path / "input").write_bytes(content)
    guest = answer(encode_frame(FrameKind.STARTED) + encode_frame(FrameKind.ERRORS, b"oops"))
    files = Files(tmp_path / "input")
    assert run_command(machine, "web", ["cat"], files) == 0
    assert guest.input == content
    assert (files.output, files.errors) == (content[::-1][:4], b"oops")
    request = {"do": "exec", "service": "web", "command": ["cat"], "input": True}
    assert guest.requests == [request]


@pytest.mark.parametrize(("status", "expected"), [(127, 127), (126, 126), (0, 1), (255, 1)])
def test_a_command_that_does_not_start_has_the_status_of_a_shell(
    machine: RecordedMachine,
    answer: Callable[..., Guest],
    tmp_path: Path,
    status: int,
    expected: int,
) -> None:
    answer(encode_frame(FrameKind.END, b'{"status":%d,"error":"not found"}' % status))
    (tmp_path / "input").write_bytes(b"")
    with pytest.raises(MachineError, match="not found") as caught:
        run_command(machine, "web", ["cat"], Files(tmp_path / "input"))
    assert caught.value.status == expected


def test_too_long_a_command_and_too_many_at_once(
    machine: RecordedMachine, answer: Callable[..., Guest], tmp_path: Path
) -> None:
    answer(END)
    (tmp_path / "input").write_bytes(b"")
    with pytest.raises(MachineError, match="at most 16384 bytes"):
        run_command(machine, "web", ["x" * MAX_PAYLOAD], Files(tmp_path / "input"))
    condition = parse_wait_condition("log:web:x", (), Network())
    assert condition.log is not None
    listeners = []
    for number in range(1, AGENT_PORTS):
        listeners.append(socket.socket(socket.AF_UNIX))
        listeners[-1].bind(str(tmp_path / AGENT_SOCKET.format(number)))
        listeners[-1].listen()
    watches = [LogWatch(tmp_path, condition.log) for _ in range(AGENT_PORTS)]
    with pytest.raises(MachineError, match="all 4 ports"):
        list_services(machine)
    for open_one in (*watches, *listeners):
        open_one.close()


def test_a_line_of_a_service_is_waited_for(tmp_path: Path, answer: Callable[..., Guest]) -> None:
    condition = parse_wait_condition("log:web:^ready$", (), Network())
    assert condition
    assert condition.pattern is None
    assert condition.log is not None
    guest = answer(output(b"not ready\nrea") + output(b"dy\n"))
    watch = LogWatch(tmp_path, condition.log)
    assert "has not answered; dolmen.agent" in watch.unmet
    while not watch.matched():
        assert not watch.failure
    watch.close()
    assert guest.requests == [{"do": "logs", "service": "web", "follow": True}]


def test_waiting_ends_when_no_more_output_will_come(
    tmp_path: Path, answer: Callable[..., Guest]
) -> None:
    condition = parse_wait_condition("log:web:ready", (), Network())
    assert condition.log is not None
    answer(encode_frame(FrameKind.END, b'{"status":1,"error":"there is no service web"}'))
    watch = LogWatch(tmp_path, condition.log)
    while not watch.failure:
        assert not watch.matched()
    unmet = condition.unmet("", None, watch)
    assert unmet == ("no line of the service web matched 'ready': there is no service web",)
    watch.close()


@pytest.mark.parametrize("text", ["login:", "log:", "log:web", "log:web:", "[l]og:web:x", "log: x"])
def test_other_texts_are_for_the_console(text: str) -> None:
    condition = parse_wait_condition(text, (), Network())
    assert condition.log is None
    assert condition.pattern is not None
    assert condition.pattern.pattern == text


def test_the_window_holds_several_frames() -> None:
    assert INPUT_WINDOW % MAX_PAYLOAD == 0
    assert parse(RESET + END) == [Frame(FrameKind.END, b'{"status": 0}')]
