"""A local Docker daemon, as far as Dolmen speaks to one: a server on a socket of its own."""

from __future__ import annotations

import contextlib
import io
import json
import socketserver
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from assembler.events import NullReporter
from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
from assembler.oci.store import Store, find_image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference


@dataclass
class Daemon:
    """What the server has: images by their full names, and what it was asked."""

    saved: dict[str, tuple[str, bytes, Platform]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: bool = False

    def has(self, source: Store, name: Reference, platform: Platform) -> None:
        """Give the daemon an image of another store, as `docker save` would write it."""
        out = io.BytesIO()
        export_archive(
            source, ExportOptions(name, ArchiveFormat.DOCKER, platform), out, NullReporter()
        )
        config = find_image(source, name, platform).manifest.config.digest
        self.saved[str(name)] = config, out.getvalue(), platform


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    state: Daemon


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def address_string(self) -> str:
        return "socket"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        state = self.server.state
        path = unquote(urlsplit(self.path).path)
        state.asked.append(path)
        if path.endswith("/version"):
            return self._json({"ApiVersion": "1.45", "MinAPIVersion": "1.24", "Version": "test"})
        name, _, verb = path.partition("/images/")[2].rpartition("/")
        known = state.saved.get(name) or next(
            (s for s in state.saved.values() if s[0] == name), None
        )
        if known is None:
            return self._json({"message": f"No such image: {name}"}, 404)
        digest, data, platform = known
        if verb == "json":
            attrs = {"Id": digest, "RepoTags": [name], "Os": platform.os}
            return self._json(attrs | {"Architecture": platform.architecture})
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if state.cut else data)
        return None

    def _json(self, document: Any, status: int = 200) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextlib.contextmanager
def docker_daemon(socket: Path) -> Iterator[Daemon]:
    """Serve the daemon's API on a socket."""
    with _Server(str(socket), _Handler) as server:
        server.state = Daemon()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.state
        finally:
            server.shutdown()
            thread.join()
