"""YAML behind a URL: fetched within limits, and checked like any other."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from tarfile import open as open_tar
from typing import TYPE_CHECKING

import pytest

from assembler.config import download, load_config
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen


SOURCES = b"""\
files:
  - {path: etc/motd, source: motd}
  - {path: etc/none, source: none, optional: true}
"""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(50):
                    self.wfile.write(b"#\n")
                    self.wfile.flush()
                    time.sleep(0.1)
            return
        answers = {
            "/good.yml": (200, b"init: ['a:1']\n"),
            "/bad.yml": (200, b"init: a\n"),
            "/big": (200, b"#" * (1 << 20)),
            "/sources.yml": (200, SOURCES),
            "/motd": (200, b"from the server"),
            "/secret.yml": (200, b"files: [{path: etc/x, source: ~/secret}]\n"),
        }
        if self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
            return
        status, body = answers.get(self.path, (404, b"nothing"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Give the URL of a server."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_file_by_url(server: str) -> None:
    """It is loaded, and knows where it came from."""
    loaded = load_config([f"{server}/good.yml"])
    assert loaded.config.init == ("a:1",)
    assert str(loaded.config.positions.place_of("init", 0)) == f"{server}/good.yml:1:8"


def test_mistakes_behind_a_url(dolmen: Dolmen, server: str) -> None:
    """They have the URL, line and column."""
    result = dolmen.run("validate", f"{server}/bad.yml", env={"NO_PROXY": "127.0.0.1"})
    assert f"{server}/bad.yml:1:7: error[DM0102]" in result.stderr


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none", "the server says 404"),
        ("/big", "larger than 512 KiB"),
        ("/round", "too many redirects"),
    ],
)
def test_urls_without_a_yaml_file_are_refused(server: str, path: str, words: str) -> None:
    """The server's answer is told."""
    with pytest.raises(ConfigError, match=words):
        load_config([server + path])


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1/x", "cannot connect"),
        ("http://", "not a URL"),
        ("http://[::1/x", "not a URL"),
        ("http://127.0.0.1:99999/x", "cannot fetch"),
    ],
)
def test_unreachable_urls_are_an_error(url: str, words: str) -> None:
    """No server, or no URL at all."""
    with pytest.raises(ConfigError, match=words):
        load_config([url])


def test_a_slow_server_times_out(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole fetch has a limit, however often a little comes."""
    monkeypatch.setattr(download, "_MAX_SECONDS", 0.3)
    monkeypatch.setattr(download, "_CHUNK_SIZE", 2)
    with pytest.raises(ConfigError, match="not complete"):
        load_config([f"{server}/slow"])


def files_of(tar: Path) -> dict[str, bytes]:
    """Return the files below etc, with their contents."""
    with open_tar(tar) as archive:
        found = {m.name: archive.extractfile(m) for m in archive if m.isfile()}
        return {n: f.read() for n, f in found.items() if f and n.startswith("etc/")}


def test_sources_of_a_yaml_file_by_url(dolmen: Dolmen, server: str, tmp_path: Path) -> None:
    """They come from the server, even if files of the same names are here."""
    for name in ("motd", "none"):
        (tmp_path / name).write_text("a file of this machine")
    tar = tmp_path / "out.tar"
    result = dolmen.run(
        *("build", "--no-sbom", "--output", str(tar), f"{server}/sources.yml"),
        cwd=tmp_path,
        env={"NO_PROXY": "127.0.0.1"},
    )
    assert result.returncode == 0, result.stderr
    assert files_of(tar) == {"etc/motd": b"from the server"}


def test_a_yaml_file_by_url_that_names_a_local_file(
    dolmen: Dolmen, server: str, tmp_path: Path
) -> None:
    """It is refused, unless the user allows it."""
    (tmp_path / "secret").write_text("mine")
    url, tar = f"{server}/secret.yml", tmp_path / "out.tar"
    env = {"NO_PROXY": "127.0.0.1", "HOME": str(tmp_path)}
    command = ("build", "--no-sbom", "--output", str(tar), url)
    for refused in (command, ("validate", url)):
        result = dolmen.run(*refused, env=env)
        assert result.returncode == 1
        assert f"{url}:1:31: error[DM0137]: ~/secret is a file of this machine" in result.stderr
        assert "--allow-local-sources" in result.stderr
        assert not tar.exists()
    assert dolmen.run("validate", "--allow-local-sources", url, env=env).returncode == 0
    assert dolmen.run(*command, "--allow-local-sources", env=env).returncode == 0
    assert files_of(tar) == {"etc/x": b"mine"}
