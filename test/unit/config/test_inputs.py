"""Arguments are files, standard input and URLs; what cannot be read is named, with the reason."""

from __future__ import annotations

import io
import os
import ssl
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from assembler.config import ConfigInput, download, is_url, load_config, read_input
from assembler.errors import ConfigError
from support.registry_server import certificates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.diagnostics import Diagnostic

LIMIT = 512 << 10


def refusal(argument: str) -> Diagnostic:
    """Return why an argument cannot be read."""
    with pytest.raises(ConfigError) as caught:
        read_input(argument)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_has_its_content_and_its_directory(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub/a.yml").write_bytes(b"init: []\n")
    given = read_input("sub/a.yml")
    assert (given.name, given.content, given.directory) == ("sub/a.yml", b"init: []\n", Path("sub"))
    assert read_input("sub/a.yml").digest == given.digest
    assert given.digest != ConfigInput("sub/a.yml", b"init: [] \n").digest


def test_standard_input_is_relative_to_the_current_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"init: ['a:1']")))
    loaded = load_config(["-"])
    assert loaded.config.init == ("a:1",)
    assert loaded.inputs[0].directory == Path()
    assert str(loaded.config.positions.place_of("init", 0)) == "<stdin>:1:8"


def test_a_large_input_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "most.yml").write_bytes(b"#" * LIMIT)
    assert len(read_input("most.yml").content) == LIMIT
    (folder / "more.yml").write_bytes(b"#" * (LIMIT + 1))
    assert refusal("more.yml").message == "larger than 512 KiB, the limit for a YAML file"
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"#" * (LIMIT + 1))))
    assert str(refusal("-").place) == "<stdin>"


def test_a_directory_is_refused_with_its_yaml_files(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d/notes.txt").touch()
    assert refusal("d").hints == ("name the YAML file in it; it has none",)
    for name in "abcdefg":
        (folder / f"d/{name}.yml").touch()
    (folder / "d/b.yaml").touch()
    found = refusal("d")
    assert found.message == "d is a directory"
    assert found.hints == (
        "name the YAML file in it: d/a.yml, d/b.yaml, d/b.yml, d/c.yml, d/d.yml",
    )


def test_a_missing_file_is_refused_with_a_similar_name(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "d/machine.yml").touch()
    (folder / "d/machine.txt").touch()
    (folder / "link.yml").symlink_to("gone.yml")
    found = {
        name: (refusal(name).message, refusal(name).hints)
        for name in ("d/machin.yml", "d/other", "none/x.yml", "", "link.yml")
    }
    assert found == {
        "d/machin.yml": ("there is no file d/machin.yml", ("did you mean d/machine.yml?",)),
        "d/other": ("there is no file d/other", ()),
        "": ("there is no file ", ("the name is empty",)),
        "none/x.yml": ("there is no file none/x.yml", ("there is no directory none",)),
        "link.yml": (
            "link.yml is a dangling symbolic link",
            ("its target gone.yml does not exist",),
        ),
    }


def test_an_unreadable_file_is_refused_with_the_reason(folder: Path) -> None:
    (folder / "file").touch()
    assert refusal("file/a.yml").message == "cannot read file/a.yml: not a directory"
    assert refusal("a\0b").message == ("cannot read a\0b: a name cannot contain a null character")


def test_a_pipe_without_a_writer_does_not_block(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert read_input("pipe").content == b""


@pytest.mark.parametrize(
    ("content", "message", "place"),
    [
        (b"a\0" * 100 + b"\xff", "this is a binary file, not YAML", "x.yml"),
        (b"a" * 4096 + b"\0\xff", "not text in UTF-8: byte 0xff", "x.yml:1:4098"),
        (b"a: b\r\nc: \xc3\xa9\xe9", "not text in UTF-8: byte 0xe9", "x.yml:2:5"),
        (b"\xff\xfea\0\0\xd8", "not text in UTF-8: byte 0x00", "x.yml:1:2"),
    ],
)
def test_bytes_that_are_not_text_are_refused(content: bytes, message: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = ConfigInput("x.yml", content).source
    (found,) = caught.value.diagnostics
    assert (found.message, str(found.place)) == (message, place)


ANSWERS = {
    "/good.yml": (200, b"init: ['a:1']\n"),
    "/most": (200, b"#" * LIMIT),
    "/big": (200, b"#" * (LIMIT + 1)),
    "/gone": (410, b""),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/hangs":
            time.sleep(2)
            return
        if self.path == "/circle":
            self.send_response(302)
            self.send_header("Location", "/circle")
            self.end_headers()
            return
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        if self.path == "/slow":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                for _ in range(30):
                    self.wfile.write(b"#")
                    time.sleep(0.1)
            return
        status, body = ANSWERS[self.path]
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
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.usefixtures("_no_proxy")
def test_a_url_is_downloaded_up_to_the_limit(server: str) -> None:
    given = read_input(f"{server}/good.yml")
    assert (given.content, given.directory) == (b"init: ['a:1']\n", None)
    assert is_url("HTTP://X")
    assert not is_url("ftp://x")
    assert len(read_input(f"{server}/most").content) == LIMIT
    assert refusal(f"{server}/big").message.startswith("larger than 512 KiB")
    # What is beyond the limit is not kept.
    assert len(download.download(f"{server}/big", 10)) <= 1 << 16


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/gone", "the server says 410 Gone"),
        ("/circle", "too many redirects"),
        ("/hangs", "the server does not answer"),
    ],
)
def test_a_failed_download_is_refused_with_the_reason(
    server: str, path: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_READ_TIMEOUT", 0.2)
    found = refusal(server + path)
    assert found.message == f"cannot fetch {server}{path}: {reason}"
    assert str(found.place) == server + path


@pytest.mark.usefixtures("_no_proxy")
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1/x", "cannot connect to the server"),
        ("http://", "this is not a URL"),
    ],
)
def test_a_server_that_cannot_be_reached_is_refused(server: str, url: str, reason: str) -> None:
    argument = url.format(host=server.removeprefix("http://"))
    assert refusal(argument).message == f"cannot fetch {argument}: {reason}"


@pytest.mark.usefixtures("_no_proxy")
def test_the_password_of_a_url_is_in_no_message(server: str) -> None:
    url = server.replace("http://", "http://me:se@cret@")
    given = read_input(f"{url}/good.yml")
    assert (given.name, given.url) == (f"{server}/good.yml", f"{url}/good.yml")
    assert "cret" not in repr(given)
    for path in ("/gone", "/big", "/to//gone", "/to/http://localhost/"):
        found = refusal(url + path)
        assert "cret" not in found.message + str(found.place)
    with pytest.raises(ConfigError) as caught:
        load_config([f"{url}/good.yml", f"{url}/good.yml"])
    assert "cret" not in str(caught.value)


@pytest.mark.usefixtures("_no_proxy")
def test_a_server_with_an_unknown_certificate_is_refused(tmp_path: Path) -> None:
    _, certificate, key = certificates(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        http.handle_error = lambda *_: None  # type: ignore[assignment,misc]
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        url = f"https://127.0.0.1:{http.server_port}/good.yml"
        reason = "the server's certificate is not trusted"
        assert refusal(url).message == f"cannot fetch {url}: {reason}"
        http.shutdown()


@pytest.mark.usefixtures("_no_proxy")
def test_a_download_has_a_limit_of_time(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "_MAX_SECONDS", -1.0)
    assert "not complete after" in refusal(f"{server}/good.yml").message


@pytest.mark.usefixtures("_no_proxy")
def test_the_limit_of_time_holds_for_a_server_that_sends_little_at_a_time(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_MAX_SECONDS", 0.2)
    begin = time.monotonic()
    assert "not complete after" in refusal(f"{server}/slow").message
    assert time.monotonic() - begin < 2


@pytest.mark.usefixtures("_no_proxy")
def test_redirects_stay_on_the_host_or_use_https(server: str) -> None:
    assert read_input(f"{server}/to//good.yml").content == b"init: ['a:1']\n"
    other = server.replace("127.0.0.1", "localhost") + "/good.yml"
    message = refusal(f"{server}/to/{other}").message
    assert message.endswith(f"it leads to {other}, which is neither https nor on the same host")
    assert "it leads to file:///etc/passwd" in refusal(f"{server}/to/file:///etc/passwd").message
    # It is tried, and nothing is there.
    assert refusal(f"{server}/to/https://127.0.0.1:1/").message.endswith("connect to the server")
