"""The connections of the HTTP server: bounded in number, and in the time that clients take."""

from __future__ import annotations

import html
import http.server
import os
import socket
import socketserver
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from assembler.events import LogMessage
from assembler.serve.ipxe import ipxe_scripts, quoted_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

    from assembler.events import Reporter
    from assembler.serve.folder import ServedFolder

_CHUNK = 256 << 10
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"
_ESCAPES: Mapping[int, str] = {n: f"\\x{n:02x}" for n in (*range(32), *range(127, 160))}
_LONGEST_LOGGED = 200


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What clients may use."""

    connections: int = 128
    # Seconds until a request is complete.
    request: float = 20.0
    # Seconds until a client has accepted 256 KiB.
    chunk: float = 60.0


class HttpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A server with a thread for each connection, which ends the slow ones."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(
        self,
        family: int,
        address: Any,  # noqa: ANN401 - its type depends on the family
        folder: ServedFolder,
        reporter: Reporter,
        limits: ServerLimits,
    ) -> None:
        """Listen at an address of a family."""
        self.folder = folder
        self.reporter = reporter
        self.limits = limits
        self._lock = threading.Lock()
        # The times at which connections are ended.
        self._deadlines: dict[socket.socket, float] = {}
        self.address_family = family
        super().__init__(address, _Handler)

    def allow(self, connection: socket.socket, seconds: float) -> None:
        """Give a connection some time from now on."""
        with self._lock:
            self._deadlines[connection] = time.monotonic() + seconds

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Start a thread for a connection, unless there are too many."""
        if len(self._deadlines) >= self.limits.connections:
            with suppress(OSError):
                request.send(_BUSY, socket.MSG_DONTWAIT)
            self.shutdown_request(request)
            return
        self.allow(request, self.limits.request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """End a connection."""
        with self._lock:
            self._deadlines.pop(request, None)
            super().shutdown_request(request)

    def service_actions(self) -> None:
        """End the connections that take too long; called twice a second."""
        now = time.monotonic()
        with self._lock:
            for connection, deadline in self._deadlines.items():
                if now > deadline:
                    # Its thread, which waits for the client, goes on with an error.
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Report an error of a connection; clients may go away at any time."""
        error = sys.exception()
        self.reporter.emit(LogMessage(f"{client_address[0]}  {_printable(str(error))}", 1))


class _Handler(http.server.BaseHTTPRequestHandler):
    server: HttpServer
    server_version = "dolmen"
    sys_version = ""

    def do_GET(self) -> None:
        """Send a file, a script or the list of both."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send the head of the answer to GET."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        self._allow_chunk()
        path = self.path.partition("?")[0].partition("#")[0]
        name = os.fsdecode(unquote_to_bytes(path.encode("latin-1")).lstrip(b"/"))
        folder = self.server.folder
        scripts = ipxe_scripts(folder.path)
        if name in ("", *scripts):
            text = scripts[name] if name else _listing({*folder.names(), *scripts})
            data = text.encode("utf-8", "surrogateescape")
            self._head(len(data), "text/plain" if name else "text/html; charset=utf-8")
            if with_body:
                self.wfile.write(data)
            return
        file = folder.open(name)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            self._head(size, "application/octet-stream")
            if with_body:
                self._send(file, size)

    def _send(self, file: IO[bytes], size: int) -> None:
        """Send a file in chunks, each with a time limit."""
        while size and (data := file.read(min(_CHUNK, size))):
            self._allow_chunk()
            self.wfile.write(data)
            size -= len(data)

    def _allow_chunk(self) -> None:
        self.server.allow(self.connection, self.server.limits.chunk)

    def _head(self, size: int, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Report a request."""
        self.server.reporter.emit(
            LogMessage(f"{self.address_string()}  {_printable(format % args)}")
        )


def _listing(names: set[str]) -> str:
    lines = [
        f'<li><a href="{quoted_name(name)}">{html.escape(_printable(name))}</a></li>'
        for name in sorted(names)
    ]
    return f"<!doctype html><ul>{''.join(lines)}</ul>\n"


def _printable(text: str) -> str:
    """Return a text of others for a line of a log or a page."""
    text = os.fsencode(text).decode("utf-8", "replace").translate(_ESCAPES)
    return text if len(text) <= _LONGEST_LOGGED else text[:_LONGEST_LOGGED] + "…"
