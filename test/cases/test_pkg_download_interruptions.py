"""A signal ends downloads from a mirror that accepts requests, and does not answer."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from support.debian import make_archive
from support.recipes import LIBRARY, RECIPE, TOOL, Packages, both, commit, make_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow


class _Silent(BaseHTTPRequestHandler):
    """A mirror that does not answer requests of some files."""

    archive: Path
    suffix: str
    asked: threading.Semaphore
    done: threading.Event

    def do_GET(self) -> None:
        path = self.archive / unquote(self.path).lstrip("/")
        if path.name.endswith(self.suffix):
            self.asked.release()
            self.done.wait(60)
            self.close_connection = True
            return
        content = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if path.is_file() else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def silent_mirror(archive: Path, suffix: str) -> Iterator[tuple[str, threading.Semaphore]]:
    """Serve an archive, except for some files; yield the URL, and what counts their requests."""
    asked, done = threading.Semaphore(0), threading.Event()
    members = {"archive": archive, "suffix": suffix, "asked": asked, "done": done}
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Silent,), members)) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield f"[trusted=yes] http://127.0.0.1:{server.server_port}/", asked
        finally:
            done.set()
            server.shutdown()


def terminate(pkg: Packages, mirror: str, asked: threading.Semaphore, paths: list[Path]) -> None:
    """Terminate a build when the mirror has got a request."""
    words = ("pkg", "build", "--cache", pkg.store, "--platforms", "amd64", *paths)
    process = subprocess.Popen(
        [sys.executable, "-m", "dolmen", *map(str, words)],
        env=pkg.dolmen.environment(pkg.env | {"DOLMEN_DEBIAN_MIRROR": mirror}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asked.acquire(timeout=60)
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, errors = process.communicate(timeout=60)
    assert time.monotonic() - began < 2
    assert (process.returncode, out) == (143, "")
    assert "Traceback" not in errors
    assert list((pkg.store / "debs").rglob("*.part")) == []


@pytest.mark.parametrize("suffix", [".deb", "InRelease"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_mirror_that_does_not_answer(
    dolmen: Dolmen, tmp_path: Path, suffix: str, count: int
) -> None:
    pkg = Packages(dolmen, tmp_path / "archive", tmp_path / "store")
    make_archive(tmp_path / "archive", [*both(LIBRARY), *both(TOOL)])
    paths = [make_package(tmp_path / "work" / "tool")]
    if count == 2:
        paths.append(tmp_path / "work" / "other")
        paths[1].mkdir()
        (paths[1] / "build.yml").write_text(RECIPE.replace("image: tool", "image: other"))
        commit(paths[1])
    with silent_mirror(tmp_path / "archive", suffix) as (mirror, asked):
        terminate(pkg, mirror, asked, paths)
