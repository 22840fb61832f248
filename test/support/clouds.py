"""Metadata services of clouds in a guest's own network, at the addresses that they have there."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).parents[2]
WIRE_SERVER = "168.63.129.16"
# The tests of the package read the same answers.
_DOCUMENTS = json.loads((REPOSITORY / "pkg/metadata/testdata/clouds.json").read_text())
CLOUDS: dict[str, dict[str, Any]] = _DOCUMENTS["clouds"]
_KEY: str = _DOCUMENTS["key"]
_RELAY = Path(__file__).with_name("relay.py")


@dataclass(frozen=True)
class Request:
    """A request that a service got."""

    method: str
    path: str
    body: str


@dataclass
class Service:
    """A service with the answers that clouds document; it keeps what it was asked."""

    routes: list[dict[str, Any]]
    # Paths whose requests get no answer, and the answers before the documented ones.
    silent: tuple[str, ...] = ()
    failures: dict[str, list[int]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Serve at a port of this host."""
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
                service.requests.append(Request(self.command, self.path, body))
                if self.path.startswith(service.silent or ("none",)):
                    time.sleep(60)
                    return
                status, headers, answer = service.answer(
                    self.command, self.path, {k.lower(): v for k, v in self.headers.items()}
                )
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_POST = _handle  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.port = server.server_port
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            server.shutdown()
            server.socket.close()

    def answer(
        self, method: str, path: str, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the answer to a request."""
        if left := self.failures.get(path):
            return left.pop(0), {}, b""
        for route in self.routes:
            if (route["method"], route["path"]) == (method, path):
                needs = route.get("needs", {})
                if any(headers.get(k.lower()) != v for k, v in needs.items()):
                    return route["refusal"], {}, b""
                return 200, route.get("header", {}), route["answer"].encode()
        return 404, {}, b""


def service(*names: str, key: str = _KEY, wire: bool = False) -> Service:
    """Return the service of clouds, with a key of the test's own."""
    kind = "wire" if wire else "routes"
    routes = [route for name in names for route in CLOUDS[name].get(kind, [])]
    # In JSON and in texts alike: a public key has nothing that JSON would escape.
    return Service([{**route, "answer": route["answer"].replace(_KEY, key)} for route in routes])


@contextmanager
def network_of(services: dict[str, Service]) -> Iterator[str]:
    """Give the options for a user network that has services, by address."""
    with ExitStack() as stack:
        # One network with all addresses of clouds: QEMU forwards only those inside.
        words = ["net=168.0.0.0/7"]
        for address, one in services.items():
            stack.enter_context(one.running())
            relay = f"{sys.executable} -SE {_RELAY} {one.port}"
            words.append(f"guestfwd=tcp:{address}:80-cmd:{relay}")
        yield "".join("," + word for word in words)


def source_ports(capture: Path, address: str) -> set[int]:
    """Return the ports from which a guest connected to an address, of a capture of its packets."""
    data = capture.read_bytes()
    found = set()
    at = 24
    while at + 16 <= len(data):
        size = int.from_bytes(data[at + 8 : at + 12], "little")
        packet = data[at + 16 : at + 16 + size]
        at += 16 + size
        header = 14 + 4 * (packet[14] & 0xF) if len(packet) > 14 else 0
        to = ".".join(map(str, packet[30:34]))
        # IPv4 and TCP, with SYN and without ACK.
        is_tcp = packet[12:14] == b"\x08\x00" and packet[23] == 6
        if is_tcp and to == address and packet[header + 13] & 0x12 == 0x02:
            found.add(int.from_bytes(packet[header : header + 2], "big"))
    return found
