"""The credentials of ~/.netrc are never sent, and those of a URL only to its host."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import requests

from assembler.config.download import download
from assembler.http_requests import HttpSession

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class _Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization", "")))
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/").replace("PORT", self.port))
        else:
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @property
    def port(self) -> str:
        return str(self.server.server_address[1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Give the list of what is asked, with a ~/.netrc that has a password for every host."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\ndefault login me password secret")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    return []


@pytest.fixture
def server(seen: list[tuple[str, str]]) -> Iterator[int]:
    """Give the port of a server that redirects `/to/TARGET`."""
    handler = type("Handler", (_Handler,), {"seen": seen})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield http.server_port
        http.shutdown()


BASIC = "Basic YTpi"


def test_netrc_is_not_used_for_yaml_files(server: int, seen: list[tuple[str, str]]) -> None:
    download(f"http://127.0.0.1:{server}/x", 10)
    download(f"http://127.0.0.1:{server}/to//y", 10)
    assert seen == [("/x", ""), ("/to//y", ""), ("/y", "")]


def test_credentials_of_a_url_stay_on_its_host(server: int, seen: list[tuple[str, str]]) -> None:
    download(f"http://a:b@127.0.0.1:{server}/to//y", 10)
    assert seen == [("/to//y", BASIC), ("/y", BASIC)]


def test_netrc_is_not_used_by_sessions(server: int, seen: list[tuple[str, str]]) -> None:
    with HttpSession() as session:
        session.get(f"http://127.0.0.1:{server}/x")
        session.get(f"http://127.0.0.1:{server}/to//y")
        session.get(f"http://a:b@127.0.0.1:{server}/to/http://localhost:PORT/z")
    assert [value for _, value in seen] == ["", "", "", BASIC, ""]


def test_the_head_of_an_answer_has_a_limit_of_time() -> None:
    """A server that sends a byte at a time does not outlast the read timeout."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection = listening.accept()[0]
            with connection, contextlib.suppress(OSError):
                connection.recv(1000)
                for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        began = time.monotonic()
        with HttpSession() as session, pytest.raises(requests.ReadTimeout):
            session.get(f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=(1.0, 0.5))
        assert time.monotonic() - began < 3
