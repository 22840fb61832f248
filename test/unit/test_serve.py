"""Images are served whatever the files beside them are, and whatever clients do."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from assembler.errors import MachineError, UsageError
from assembler.events import CallbackReporter, Event
from assembler.serve import ServeOptions, Server, ipxe_scripts, parse_listen_address
from assembler.serve.connections import HttpServer, ServerLimits
from assembler.serve.folder import ServedFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ODD_NAMES = [b"a\nb", b"not utf-8 \xff", b"a b", b'it\'s "quoted"', b"${name}", b"\x1b[31mred"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "web-kernel").write_bytes(b"kernel")
    (folder / "web-initrd.img").write_bytes(b"initrd")
    (folder / "web-cmdline").write_text("console=ttyS0\n")
    (tmp_path / "outside").write_text("secret")
    return folder


@contextmanager
def serving(
    folder: Path, events: list[Event] | None = None, host: str = "127.0.0.1"
) -> Iterator[str]:
    """Serve a directory; yield the URL."""
    progress = None if events is None else events.append
    options = ServeOptions(directory=folder, host=host, port=0)
    with Server(options, progress=progress) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.address
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def limited(folder: Path, limits: ServerLimits) -> Iterator[tuple[str, int]]:
    """Serve with limits; yield the address."""
    served = ServedFolder(folder.resolve())
    address = ("127.0.0.1", 0)
    with HttpServer(socket.AF_INET, address, served, CallbackReporter.of(None), limits) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.socket.getsockname()
        finally:
            server.shutdown()
            thread.join()


def get(url: str) -> bytes:
    with urlopen(url, timeout=20) as answer:  # noqa: S310
        content: bytes = answer.read()
        return content


def status(url: str) -> int:
    try:
        get(url)
    except HTTPError as error:
        return error.code
    return 200


def drip(connection: socket.socket, seconds: float) -> None:
    """Send a request that never ends, slowly."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(b"G")
        time.sleep(0.05)


def is_refused(address: tuple[str, int]) -> bool:
    """Tell whether the server ends a new connection before there is a request."""
    with socket.create_connection(address, 1) as connection:
        try:
            return connection.recv(100).startswith(b"HTTP/1.0 503 ")
        except TimeoutError:
            return False


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_disturbs_no_request(folder: Path, name: bytes) -> None:
    for suffix in (b"", b"-kernel"):
        (folder / os.fsdecode(name + suffix)).write_bytes(b"odd")
    events: list[Event] = []
    quoted = "".join(f"%{byte:02x}" for byte in name)
    with serving(folder, events) as url:
        assert get(url + "web.ipxe").startswith(b"#!ipxe\nkernel web-kernel ")
        listing = get(url)
        assert get(url + quoted) == b"odd"
        script = get(url + quoted + ".ipxe")
    assert b"web-initrd.img" in listing
    assert not {b"\x1b", b"\xff"} & {listing[n : n + 1] for n in range(len(listing))}
    lines = script.decode("ascii").splitlines()
    assert [line.split(" ")[0] for line in lines] == ["#!ipxe", "kernel", "boot"]
    assert "$" not in script.decode()


def test_links_to_the_outside_are_not_served(folder: Path) -> None:
    secret = folder.parent / "outside"
    for name in ("evil-kernel", "web-initrd.img", "web-cmdline"):
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
    with serving(folder) as url:
        assert status(url + "evil-kernel") == 404
        assert status(url + "evil.ipxe") == 404
        assert get(url + "web.ipxe") == b"#!ipxe\nkernel web-kernel\nboot\n"
        assert b"evil" not in get(url)


def test_links_inside_the_folder_are_served(folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "images" / "v2").write_bytes(b"v2")
    (folder / "next-kernel").symlink_to("images/v2")
    (folder / ".secret").write_bytes(b"secret")
    (folder / "shown").symlink_to(".secret")
    with serving(folder) as url:
        assert get(url + "next-kernel") == b"v2"
        assert get(url + "images/v2") == b"v2"
        assert status(url + "shown") == 404
        assert get(url + "next.ipxe").startswith(b"#!ipxe")


def test_a_link_that_appears_after_the_check_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "swapped").symlink_to("../outside")
    served = ServedFolder(folder)
    monkeypatch.setattr(ServedFolder, "_place", lambda *_: ("swapped",))
    assert served.open("swapped") is None
    (folder / "up").symlink_to("..")
    monkeypatch.setattr(ServedFolder, "_place", lambda *_: ("up", "outside"))
    assert served.open("up/outside") is None


def test_names_that_cannot_be_are_not_found(folder: Path) -> None:
    (folder / "loop").symlink_to("loop")
    (folder / "loop-kernel").symlink_to("loop-kernel")
    os.mkfifo(folder / "pipe")
    events: list[Event] = []
    with serving(folder, events) as url:
        for name in ("x" * 300, "d/" * 2000 + "x", "loop", "loop/x", "pipe", "%00", "%ff", "a//b"):
            assert status(url + name) == 404, name
        assert get(url + "web-kernel") == b"kernel"
    assert all("Traceback" not in str(event) for event in events)


@pytest.mark.parametrize(
    "words", ["a\nshell", "a\rshell", "a\x0bshell", "a && shell", "a ; shell", "a || b", "${x} y"]
)
def test_a_command_line_is_no_command_of_ipxe(folder: Path, words: str) -> None:
    (folder / "web-cmdline").write_text(words)
    lines = ipxe_scripts(folder)["web.ipxe"].splitlines()
    if words.split() == ["a", "shell"]:
        # A line break separates words, as for the kernel.
        assert lines[1] == "kernel web-kernel initrd=web-initrd.img a shell"
    else:
        assert lines[1:] == ["echo web-cmdline has a word that iPXE cannot pass on", "exit 1"]


@pytest.mark.parametrize("word", ["#x", "a\x1b[0m", "x=${net0/mac}"])
def test_words_that_ipxe_changes_are_refused(folder: Path, word: str) -> None:
    (folder / "web-cmdline").write_text(f"console=ttyS0 {word}")
    assert ipxe_scripts(folder)["web.ipxe"].endswith("cannot pass on\nexit 1\n")


def test_other_words_reach_the_kernel_unchanged(folder: Path) -> None:
    words = b'dyndbg="file a.c +p" x=$y caf\xc3\xa9 \xff a;b'
    (folder / "web-cmdline").write_bytes(words)
    with serving(folder) as url:
        assert get(url + "web.ipxe").splitlines()[1].endswith(b"web-initrd.img " + words)


def test_slow_clients_are_ended(folder: Path) -> None:
    (folder / "large").write_bytes(bytes(64 << 20))
    limits = ServerLimits(connections=3, request=0.5, chunk=0.5)
    with limited(folder, limits) as address:
        slow = [socket.create_connection(address, 20) for _ in range(2)]
        slow[0].sendall(b"GET / HT")
        slow[1].sendall(b"GET /large HTTP/1.0\r\n\r\n")
        dripping = socket.create_connection(address, 20)
        with pytest.raises(OSError, match=r"pipe|reset"):
            drip(dripping, 20)
        assert slow[0].recv(1000) == b""
        received = 0
        with suppress(ConnectionResetError):
            while data := slow[1].recv(1 << 20):
                received += len(data)
        assert received < 64 << 20
        assert get(f"http://127.0.0.1:{address[1]}/web-kernel") == b"kernel"
        for connection in (*slow, dripping):
            connection.close()


def test_connections_are_bounded(folder: Path) -> None:
    with limited(folder, ServerLimits(connections=2)) as address:
        waiting = [socket.create_connection(address, 20) for _ in range(2)]
        assert is_refused(address)
        for connection in waiting:
            connection.close()
        end = time.monotonic() + 20
        while is_refused(address):
            assert time.monotonic() < end
        assert get(f"http://127.0.0.1:{address[1]}/web-kernel") == b"kernel"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080", ("127.0.0.1", 8080)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("[::ffff:192.0.2.1]:80", ("::ffff:192.0.2.1", 80)),
        ("boot.example.org:80", ("boot.example.org", 80)),
    ],
)
def test_addresses(text: str, expected: tuple[str, int]) -> None:
    assert parse_listen_address(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("::1:8080", "write an IPv6 address in brackets: [::1]:8080"),
        ("many", "write it as 8080, 0.0.0.0:8080 or [::1]:8080"),
        ("[::1]", "write it as 8080, 0.0.0.0:8080 or [::1]:8080"),
        ("70000", "the largest port is 65535"),
    ],
)
def test_addresses_that_are_none(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_listen_address(text)
    assert caught.value.diagnostics[0].hints == (hint,)


def test_an_ipv6_address_is_served(folder: Path) -> None:
    with serving(folder, host="::1") as url:
        assert url.startswith("http://[::1]:")
        assert get(url + "web-kernel") == b"kernel"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 70 + ".invalid", "192.0.2.1"])
def test_hosts_that_are_not_here(folder: Path, host: str) -> None:
    with pytest.raises(MachineError, match=f"cannot listen to {host}:0: ."):
        Server(ServeOptions(directory=folder, host=host, port=0))
