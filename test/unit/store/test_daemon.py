"""Images of the local Docker daemon, here a server of our own that speaks its API."""

from __future__ import annotations

import io
import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from assembler.codes import images
from assembler.errors import ImageError
from assembler.events import Silent
from assembler.oci.archive_export import Download, Format, export
from assembler.oci.daemon import bring
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.resolve import Sources, resolve
from assembler.oci.store import Store, find
from support.pictures import AMD64, ARM64, Painter

X, Y = Reference.parse("x:1"), Reference.parse("y:1")


@dataclass
class Daemon:
    """What the server has: images by their full names, and what it was asked."""

    saved: dict[str, tuple[str, bytes, Platform]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: bool = False

    def has(self, source: Store, name: Reference, platform: Platform) -> None:
        """Give the daemon an image of another store, as `docker save` would write it."""
        out = io.BytesIO()
        export(source, Download(name, Format.DOCKER, platform), out, Silent())
        config = find(source, name, platform).manifest.config.digest
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


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Serve the daemon's API on a socket that DOCKER_HOST names."""
    path = tmp_path / "docker.sock"
    with _Server(str(path), _Handler) as server:
        server.state = Daemon()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield server.state
        server.shutdown()
        thread.join()


@pytest.fixture
def source(tmp_path: Path) -> Store:
    """Give a store with the images x:1 and y:1, whose content the daemon will have."""
    store = Store(tmp_path / "source")
    painter = Painter(store)
    store.put(X, painter.image([{"a": b"1"}, {"b": b"2"}]))
    store.put(Y, painter.image({"a": b"arm"}, ARM64))
    return store


def test_what_the_daemon_has_is_used(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    assert bring(store, [X, Y], AMD64, Silent()) == [X]
    assert find(store, X, AMD64).config == find(source, X, AMD64).config
    assert len(find(store, X, AMD64).manifest.layers) == 2


def test_what_is_here_already_is_not_asked_for(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    bring(store, [X], AMD64, Silent())
    daemon.asked.clear()
    assert bring(store, [X], AMD64, Silent()) == [X]
    assert not [path for path in daemon.asked if path.endswith("/get")]


def test_an_image_for_another_machine_is_not_used(
    daemon: Daemon, source: Store, store: Store
) -> None:
    daemon.has(source, Y, ARM64)
    assert bring(store, [Y], AMD64, Silent()) == []
    assert store.names().entries == ()


def test_digests_are_not_the_daemons(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    pinned = Reference.parse(f"x@{find(source, X, AMD64).digest}")
    assert bring(store, [pinned], AMD64, Silent()) == []
    assert not [path for path in daemon.asked if "/images/" in path]


def test_the_daemon_comes_before_store_and_registry(
    daemon: Daemon, source: Store, store: Store
) -> None:
    store.put(X, Painter(store).image({"a": b"older"}))
    daemon.has(source, X, AMD64)
    sources = Sources(store, offline=True, daemon=bring)
    found = resolve({X: None}, AMD64, sources, Silent())
    assert found[X].config == find(source, X, AMD64).config
    with pytest.raises(ImageError, match="y:1 is not in the store"):
        resolve({X: None, Y: None}, AMD64, sources, Silent())


def test_a_stream_that_is_cut_leaves_nothing(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    daemon.cut = True
    with pytest.raises(ImageError):
        bring(store, [X], AMD64, Silent())
    assert list(store.layout.blobs.iterdir()) == []
    daemon.cut = False
    assert bring(store, [X], AMD64, Silent()) == [X]


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense:"])
def test_no_daemon(store: Store, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(ImageError) as caught:
        bring(store, [X], AMD64, Silent())
    assert caught.value.diagnostics[0].code is images.NO_DAEMON
    assert "docker info" in str(caught.value)
    assert "0x" not in str(caught.value)
