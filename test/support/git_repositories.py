"""Git repositories with packages, and a server that gives them over smart HTTP."""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IDENTITY = ("-c", "user.name=n", "-c", "user.email=e", "-c", "protocol.file.allow=always")
_BUILD = "image: {name}\norg: example\narches: [amd64]\n"
_DOCKERFILE = "FROM scratch\nCOPY file /\n"


@dataclass(frozen=True)
class Repository:
    """A git repository with a work tree."""

    path: Path

    @classmethod
    def create(cls, path: Path) -> Repository:
        """Create a repository with two packages, the second of which needs the first."""
        path.mkdir(parents=True)
        made = cls(path)
        made.git("init", "-q", "-b", "main")
        made.package("one")
        made.package("two", 'buildArgs: ["ONE=@dolmen:pkg:../one"]\n')
        text = (
            "ARG ONE\nFROM ${ONE} AS one\nFROM scratch\nCOPY --from=one /file /one\nCOPY file /\n"
        )
        made.write("pkg/two/Dockerfile", text)
        made.commit()
        return made

    @property
    def url(self) -> str:
        """Return the URL of the repository on this machine."""
        return f"file://{self.path}"

    def git(self, *words: str) -> str:
        """Run git in the repository, and return what it printed."""
        done = subprocess.run(
            ["git", *_IDENTITY, *words], cwd=self.path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def package(self, name: str, more: str = "") -> None:
        """Write a package with one file."""
        self.write(f"pkg/{name}/build.yml", _BUILD.format(name=name) + more)
        self.write(f"pkg/{name}/Dockerfile", _DOCKERFILE)
        self.write(f"pkg/{name}/file", name)

    def commit(self) -> str:
        """Commit everything, and return the commit."""
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", "x")
        return self.git("rev-parse", "HEAD")

    def tree(self, directory: str) -> str:
        """Return git's hash of a directory."""
        return self.git("rev-parse", f"HEAD:{directory}")


@dataclass
class GitServer:
    """A server of the repositories in a directory, through git http-backend."""

    url: str
    requests: list[str] = field(default_factory=list)
    # Set when a fetch from `/stuck/` has begun.
    stuck: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve_repositories(root: Path) -> Iterator[GitServer]:
    """Serve the repositories in a directory.

    `/moved/X` redirects to `/X`, `/slow/X` never answers, `/private/X` needs a password, `/stuck/X`
    does not send objects, and `/old/X` gives no commits but those with a name.
    """
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(body)

        def _answer(self, body: bytes) -> None:
            server.requests.append(self.path)
            if self.path.startswith("/moved/"):
                self.send_response(301)
                self.send_header("Location", self.path.removeprefix("/moved"))
                self.end_headers()
                return
            if self.path.startswith("/slow/"):
                stop.wait(60)
                return
            if self.path.startswith("/private/"):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.end_headers()
                return
            if self.path.startswith("/stuck/") and b"command=fetch" in body:
                server.stuck.set()
                stop.wait(60)
                return
            is_old = self.path.startswith("/old/")
            path, _, query = self.path.removeprefix("/stuck").removeprefix("/old").partition("?")
            environment = {
                **os.environ,
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": "" if is_old else self.headers.get("Git-Protocol", ""),
            }
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                env=environment,
                capture_output=True,
                check=False,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
            self.send_response(int(lines.pop("Status", "200").split()[0]))
            for name, value in lines.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server = GitServer(f"http://127.0.0.1:{http.server_port}")
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            stop.set()
            http.shutdown()
