"""The git program: limits of time and size, and what it may not use."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from assembler.errors import DolmenError
from assembler.git_sources import GitReference, program
from assembler.git_sources.program import GitAccess, fetch_commit, resolve_ref
from assembler.tools import ProcessLimits, StallLimits
from support.git_repositories import Repository, serve_repositories

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_a_server_that_never_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_LIST_LIMITS", ProcessLimits(30, 1 << 20, StallLimits(1.0)))
    with serve_repositories(tmp_path) as server:
        reference = GitReference.parse(f"@git:{server.url}/slow/r#main:a")
        with pytest.raises(DolmenError, match="neither printed nor computed"):
            resolve_ref(reference, GitAccess())


def test_a_huge_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository.create(tmp_path / "r")
    reference = GitReference.parse(f"@git:{repository.url}#main:a")
    commit = resolve_ref(reference, GitAccess())
    monkeypatch.setattr(program, "_MAX_REPOSITORY", 1000)
    with pytest.raises(DolmenError, match=r"DM0766.*is larger than"):
        fetch_commit(reference, commit, GitAccess(), tmp_path / "bare")


@contextmanager
def watch_requests() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Give a server that asks for a password, and the headers that it gets."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(dict(self.headers))
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/r", seen
        server.shutdown()


@pytest.mark.parametrize("credentials", [True, False])
def test_only_local_yaml_uses_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, credentials: bool
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login u password p\n")
    helper = "!f() { echo username=u; echo password=p; }; f"
    (tmp_path / ".gitconfig").write_text(f'[credential]\nhelper = "{helper}"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    # The protocol of a YAML file from a URL is https; the server of this test has none.
    monkeypatch.setattr(program, "_REMOTE_PROTOCOLS", "http")
    with watch_requests() as (url, seen):
        reference = GitReference.parse(f"@git:{url}#main:a")
        with pytest.raises(DolmenError, match="DM0761"):
            resolve_ref(reference, GitAccess(credentials=credentials))
    assert any("Authorization" in headers for headers in seen) == credentials


def test_the_protocols_of_yaml_from_urls(tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "r")
    reference = GitReference.parse(f"@git:{repository.url}#main:a")
    with pytest.raises(DolmenError, match="transport 'file' not allowed"):
        resolve_ref(reference, GitAccess(credentials=False))
