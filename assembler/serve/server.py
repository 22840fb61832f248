"""An HTTP server of images for machines that boot from the network."""

from __future__ import annotations

import html
import http.server
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from shutil import copyfileobj
from typing import IO, TYPE_CHECKING, Self
from urllib.parse import quote, unquote, urlsplit

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import MachineError, UsageError
from assembler.events import CallbackReporter, LogMessage
from assembler.serve.ipxe import ipxe_scripts

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.events import Event, Reporter

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]*):)?(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """What to serve, and the address to listen at."""

    directory: Path = field(default_factory=Path)
    # Without another host, only this one reaches the server.
    host: str = "127.0.0.1"
    # 0 chooses a free port.
    port: int = 8080


def parse_listen_address(text: str) -> tuple[str, int]:
    """Read `[HOST]:PORT` or `PORT`; without a host, only this one reaches it."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found or int(found["port"]) > 65535:
        raise UsageError.of(usage.BAD_OPTION, f"--port {text}", "write it as 8080 or 0.0.0.0:8080")
    return (found["host"] or "127.0.0.1").strip("[]"), int(found["port"])


class Server:
    """A server that listens from the start, and until the end of the block."""

    def __init__(
        self,
        options: ServeOptions | None = None,
        *,
        progress: Callable[[Event], None] | None = None,
    ) -> None:
        """Listen; requests are reported as log messages."""
        options = options or ServeOptions()
        if not options.directory.is_dir():
            raise UsageError.of(
                usage.BAD_OPTION, f"--directory: there is no directory {options.directory}"
            )

        class Handler(_Handler):
            """Serves this directory."""

        Handler.directory = options.directory.resolve()
        Handler.reporter = CallbackReporter.of(progress)
        try:
            self._server = http.server.ThreadingHTTPServer((options.host, options.port), Handler)
        except OSError as error:
            raise MachineError.of(
                codes.BAD_PORT,
                f"cannot listen to {options.host}:{options.port}: {error.strerror}",
                "choose another: --port 8081",
            ) from error

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.server_close()

    @property
    def address(self) -> str:
        """Return the URL of the server."""
        host, port = self._server.server_address[:2]
        return f"http://{host if isinstance(host, str) else host.decode()}:{port}/"

    def serve_forever(self) -> None:
        """Answer requests until `shutdown` is called by another thread."""
        self._server.serve_forever()

    def shutdown(self) -> None:
        """End `serve_forever`, and wait for its end."""
        self._server.shutdown()


class _Handler(http.server.BaseHTTPRequestHandler):
    directory: Path
    reporter: Reporter
    server_version = "dolmen"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """Send a file, a script or the list of both."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send the head of the answer to GET."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).lstrip("/")
        scripts = ipxe_scripts(self.directory)
        if name in ("", *scripts):
            text = scripts[name] if name else self._listing(scripts)
            data = text.encode()
            self._head(len(data), "text/plain" if name else "text/html; charset=utf-8")
            if with_body:
                self.wfile.write(data)
            return
        file = self._open(name)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            self._head(size, "application/octet-stream")
            if with_body:
                copyfileobj(file, self.wfile, 1 << 20)

    def _open(self, name: str) -> IO[bytes] | None:
        """Open a file of the directory, unless it is hidden or a link to the outside."""
        if any(part.startswith(".") for part in name.split("/")) or "\0" in name:
            return None
        path = (self.directory / name).resolve()
        if not path.is_relative_to(self.directory) or not path.is_file():
            return None
        try:
            return path.open("rb")
        except OSError:
            return None

    def _head(self, size: int, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def _listing(self, scripts: dict[str, str]) -> str:
        files = {
            p.name for p in self.directory.iterdir() if p.is_file() and not p.name.startswith(".")
        }
        lines = [
            f'<li><a href="{quote(n)}">{html.escape(n)}</a></li>'
            for n in sorted(files | set(scripts))
        ]
        return f"<!doctype html><ul>{''.join(lines)}</ul>\n"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Report a request."""
        text = (format % args).translate(dict.fromkeys([*range(32), 127], "?"))
        self.reporter.emit(LogMessage(f"{self.address_string()}  {text}"))
