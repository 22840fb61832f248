"""The sources of a YAML file from a URL: fetched from beside it, never read from this machine."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from assembler.codes import config as codes
from assembler.config import ConfigInput, LoadOptions, load_config_inputs, remote_sources
from assembler.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.config import LoadedConfig
    from assembler.diagnostics import Diagnostic

ALLOWED = LoadOptions(allow_local_sources=True)
CONTENTS = {
    "/sub/motd": b"hello",
    "/up": b"up",
    "/sub/a%3Ab": b"odd",
    "/sub/large": b"x" * 100,
    "/sub/http%3A/evil.example/x": b"on the same host",
}


class _Handler(BaseHTTPRequestHandler):
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = CONTENTS.get(self.path)
        self.send_response(404 if content is None else 200)
        self.end_headers()
        self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def asked() -> list[str]:
    """Give the list of paths that are asked for."""
    return []


@pytest.fixture
def url(asked: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the URL of a YAML file, and a current directory and home with secrets."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("s")
    handler = type("Handler", (_Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.daemon_threads = True
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/sub/image.yml"
        http.shutdown()


def loaded(
    url: str,
    *sources: str,
    more: str = "",
    options: LoadOptions = LoadOptions(),  # noqa: B008
) -> LoadedConfig:
    """Load a YAML file from the URL with files that have these sources."""
    files = [f"  - {{path: p{n}, source: '{s}'{more}}}" for n, s in enumerate(sources)]
    text = "\n".join(["files:", *files])
    return load_config_inputs([ConfigInput(url, text.encode())], options)


def contents(url: str, *sources: str, more: str = "") -> list[bytes | None]:
    return [f.source_content for f in loaded(url, *sources, more=more).config.files]


def refusals(url: str, *sources: str, more: str = "") -> tuple[Diagnostic, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(url, *sources, more=more)
    return caught.value.diagnostics


def test_a_source_is_fetched_from_beside_its_yaml_file(url: str, asked: list[str]) -> None:
    assert contents(url, "motd", "../up", "motd") == [b"hello", b"up", b"hello"]
    assert asked == ["/sub/motd", "/up"]


def test_a_name_is_a_path_whatever_it_contains(url: str) -> None:
    assert contents(url, "a:b", "http://evil.example/x") == [b"odd", b"on the same host"]


def test_the_password_of_the_url_is_in_no_message(url: str) -> None:
    secret = url.replace("http://", "http://me:secret@")
    given = ConfigInput(url, b"files: [{path: p, source: none}]", url=secret)
    with pytest.raises(ConfigError) as caught:
        load_config_inputs([given])
    assert "/sub/none: the server says 404" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("source", ["/etc/passwd", "~/secret", "//evil.example/x"])
@pytest.mark.parametrize("more", ["", ", optional: true"])
def test_files_of_this_machine_are_refused(
    url: str, asked: list[str], source: str, more: str
) -> None:
    (found,) = refusals(url, source, more=more)
    assert found.code is codes.LOCAL_SOURCE
    assert str(found.place) == f"{url}:2:24"
    assert found.message.startswith(f"{source} is a file of this machine")
    assert "--allow-local-sources" in found.hints[0]
    assert not asked


def test_a_file_in_the_current_directory_is_not_used(url: str, asked: list[str]) -> None:
    (found,) = refusals(url, "secret")
    assert found.code is codes.DOWNLOAD_FAILED
    assert found.message.endswith("/sub/secret: the server says 404 Not Found")
    assert str(found.place) == f"{url}:2:24"
    assert asked == ["/sub/secret"]


def test_an_optional_source_may_be_missing(url: str) -> None:
    (file,) = loaded(url, "secret", more=", optional: true").config.files
    assert file.source_content is None
    assert file.source_path is None
    assert file.source_url.endswith("/sub/secret")


def test_local_files_are_permitted_by_the_option(url: str, tmp_path: Path) -> None:
    home, absolute, remote = loaded(
        url, "~/secret", str(tmp_path / "secret"), "motd", options=ALLOWED
    ).config.files
    assert home.source_path == absolute.source_path == tmp_path / "secret"
    assert remote.source_content == b"hello"


def test_all_sources_share_the_limits(
    url: str, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setattr(remote_sources, "_MAX_SIZE", 105)
    (found,) = refusals(url, "large", "motd", "../up", "a:b")
    assert "/up: all sources are larger than" in found.message
    assert asked == ["/sub/large", "/sub/motd", "/up"]
    asked.clear()
    monkeypatch.setattr(remote_sources, "_MAX_SECONDS", -1.0)
    (found,) = refusals(url, "large", "motd")
    assert "/large: all sources took more than" in found.message
    assert not asked


class _Packages:
    """Packages of any directory."""

    def reference(self, directory: Path) -> str:
        return f"docker.io/made/from{directory}:1"


@pytest.mark.parametrize("allow", [False, True])
def test_packages_of_this_machine_need_the_option(allow: bool) -> None:  # noqa: FBT001
    given = ConfigInput("http://x.example/a.yml", b"init: ['@pkg:/srv/tool', '@pkg:tool']")
    options = LoadOptions(packages=_Packages(), allow_local_sources=allow)
    with pytest.raises(ConfigError) as caught:
        load_config_inputs([given], options)
    places = [str(d.place) for d in caught.value.diagnostics]
    refused = ["1:8", "1:26"] if not allow else ["1:26"]
    assert places == [f"http://x.example/a.yml:{p}" for p in refused]
    assert "--allow-local-sources" in caught.value.diagnostics[0].hints[0]
