"""An HTTP server of images for machines that boot from the network."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import MachineError, UsageError
from assembler.events import CallbackReporter
from assembler.serve.connections import HttpServer, ServerLimits
from assembler.serve.folder import ServedFolder

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.events import Event

_ADDRESS = re.compile(
    r"(?:(?P<host>\[[0-9a-fA-F:.]+(?:%[A-Za-z0-9_.-]+)?\]|[A-Za-z0-9_.-]*):)?(?P<port>\d{1,5})"
)
_BARE_IPV6 = re.compile(r"[0-9a-fA-F.]*:[0-9a-fA-F:.]*:(?P<port>\d{1,5})")
_LARGEST_PORT = 65535


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
    text = text.strip()
    found = _ADDRESS.fullmatch(text)
    if found is None:
        hint = "write it as 8080, 0.0.0.0:8080 or [::1]:8080"
        if _BARE_IPV6.fullmatch(text):
            host, _, port = text.rpartition(":")
            hint = f"write an IPv6 address in brackets: [{host}]:{port}"
        raise UsageError.of(usage.BAD_OPTION, f"--port {text}: not an address with a port", hint)
    if int(found["port"]) > _LARGEST_PORT:
        raise UsageError.of(
            usage.BAD_OPTION, f"--port {text}", f"the largest port is {_LARGEST_PORT}"
        )
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
        folder = ServedFolder(options.directory.resolve())
        reporter = CallbackReporter.of(progress)
        try:
            kind = socket.SOCK_STREAM
            family, _, _, _, address = socket.getaddrinfo(options.host, options.port, type=kind)[0]
            self._server = HttpServer(family, address, folder, reporter, ServerLimits())
        except (OSError, UnicodeError) as error:
            shown = _host_and_port(options.host, options.port)
            raise MachineError.of(
                codes.BAD_PORT,
                f"cannot listen to {shown}: {getattr(error, 'strerror', None) or error}",
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
        host, port = self._server.socket.getsockname()[:2]
        return f"http://{_host_and_port(host, port)}/"

    def serve_forever(self) -> None:
        """Answer requests until `shutdown` is called by another thread."""
        self._server.serve_forever()

    def shutdown(self) -> None:
        """End `serve_forever`, and wait for its end."""
        self._server.shutdown()


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
