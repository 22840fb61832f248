"""Downloads from mirrors: continued after a break, and limited in time."""

from __future__ import annotations

import hashlib
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from assembler.debian.archives.downloads import Downloader, HashingWriter
from assembler.debian.pool import PackagePool
from assembler.errors import HostError, PackageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 400


class _Handler(BaseHTTPRequestHandler):
    # How many answers are slow, and whether ranges are known.
    slow = 0
    fast_bytes = 50_000
    ranges = True
    asked: list[str]

    def do_GET(self) -> None:
        start = 0
        requested = self.headers.get("Range", "")
        self.asked.append(requested)
        if requested and self.ranges:
            start = int(requested.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send_response(200)
        body = CONTENT[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if type(self).slow:
            type(self).slow -= 1
            self.wfile.write(body[: self.fast_bytes])
            for at in range(self.fast_bytes, len(body)):
                self.wfile.write(body[at : at + 1])
                time.sleep(0.05)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def mirror() -> Iterator[tuple[str, type[_Handler]]]:
    handler = type("Handler", (_Handler,), {"asked": []})

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Ignore clients that hang up."""

    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x.deb", handler
        server.shutdown()


def download(url: str) -> str:
    """Return the digest of a downloaded file."""
    with tempfile.TemporaryFile() as file:
        writer = HashingWriter(file)
        downloader = Downloader(min_rate=2000, rate_window=0.4)
        downloader.download(url, len(CONTENT), writer.write, writer.restart)
        return writer.sha256


@pytest.mark.parametrize("ranges", [True, False])
def test_a_slow_download_is_continued(mirror: tuple[str, type[_Handler]], *, ranges: bool) -> None:
    url, handler = mirror
    handler.slow, handler.ranges = 1, ranges
    began = time.monotonic()
    assert download(url) == hashlib.sha256(CONTENT).hexdigest()
    assert time.monotonic() - began < 5
    first, second = handler.asked
    assert (first, second[:8]) == ("", "bytes=50")


def test_a_mirror_that_stays_slow(mirror: tuple[str, type[_Handler]]) -> None:
    url, handler = mirror
    handler.slow, handler.fast_bytes = 100, 0
    began = time.monotonic()
    with pytest.raises(PackageError, match="less than 2000 bytes per second"):
        download(url)
    assert time.monotonic() - began < 10


def test_packages_that_do_not_fit(tmp_path: Path) -> None:
    pool = PackagePool(tmp_path / "store" / "debs")
    pool.check_room(1, "1 Debian package")
    with pytest.raises(HostError, match="has no room for 2 Debian packages") as caught:
        pool.check_room(1 << 46, "2 Debian packages")
    assert "--cache DIR" in caught.value.diagnostics[0].hints[1]
