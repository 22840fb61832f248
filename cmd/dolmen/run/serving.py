"""Images over HTTP, for machines that boot from the network: files, and scripts for iPXE."""

from __future__ import annotations

import html
import http.server
import re
import sys
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from shutil import copyfileobj
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from assembler.codes import machine as codes
from assembler.codes import usage
from assembler.errors import MachineError, UsageError

_ADDRESS = re.compile(r"(?:(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9_.-]*):)?(?P<port>\d{1,5})")
_KERNEL, _INITRD, _CMDLINE, _SCRIPT = "-kernel", "-initrd.img", "-cmdline", ".ipxe"
_ANY = "boot.ipxe"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read `[HOST]:PORT`; without a host only this machine reaches it."""
        found = _ADDRESS.fullmatch(text.strip())
        if not found or int(found["port"]) > 65535:
            raise UsageError.of(
                usage.BAD_OPTION, f"--port {text}", "write it as 8080 or 0.0.0.0:8080"
            )
        return cls((found["host"] or "127.0.0.1").strip("[]"), int(found["port"]))


def scripts(folder: Path) -> dict[str, str]:
    """Return the scripts for iPXE, by name: one for each image; one alone is also `boot.ipxe`."""
    made = {}
    for kernel in sorted(folder.glob(f"*{_KERNEL}")):
        name = kernel.name.removesuffix(_KERNEL)
        cmdline = folder / (name + _CMDLINE)
        words = cmdline.read_text("utf-8", "replace").strip() if cmdline.is_file() else ""
        lines = ["#!ipxe"]
        initrd = folder / (name + _INITRD)
        if initrd.is_file():
            # EFI kernels look for it by this name.
            words = f"initrd={quote(initrd.name)} {words}".strip()
        lines.append(f"kernel {quote(kernel.name)} {words}".rstrip())
        if initrd.is_file():
            lines.append(f"initrd {quote(initrd.name)}")
        made[name + _SCRIPT] = "\n".join([*lines, "boot", ""])
    if len(made) == 1:
        made[_ANY] = next(iter(made.values()))
    return made


def make_server(folder: Path, place: Place, *, quiet: bool) -> http.server.ThreadingHTTPServer:
    """Return a server of the folder's files that already listens."""
    if not folder.is_dir():
        raise UsageError.of(usage.BAD_OPTION, f"--directory: there is no directory {folder}")
    root = folder.resolve()

    class Handler(_Handler):
        """Serves this folder."""

        served = root
        is_quiet = quiet

    try:
        return http.server.ThreadingHTTPServer((place.host, place.port), Handler)
    except OSError as error:
        raise MachineError.of(
            codes.BAD_PORT,
            f"cannot listen to {place.host}:{place.port}: {error.strerror}",
            "choose another: --port 8081",
        ) from error


class _Handler(http.server.BaseHTTPRequestHandler):
    served: Path
    is_quiet: bool
    server_version = "dolmen"
    sys_version = ""
    timeout = 60

    def do_GET(self) -> None:
        """Send a file, a script or the list of both."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send what GET would begin with."""
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        name = unquote(urlsplit(self.path).path).lstrip("/")
        made = scripts(self.served)
        if name in ("", *made):
            text = made[name] if name else self._listing(made)
            data = text.encode()
            self._head(len(data), "text/plain" if name else "text/html; charset=utf-8")
            if with_body:
                self.wfile.write(data)
            return
        file = self._open(name)
        if file is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            self._head(size, "application/octet-stream")
            if with_body:
                copyfileobj(file, self.wfile, 1 << 20)

    def _open(self, name: str) -> IO[bytes] | None:
        """Open a file of the folder: nothing hidden, and nothing that a link leads away to."""
        if any(part.startswith(".") for part in name.split("/")) or "\0" in name:
            return None
        path = (self.served / name).resolve()
        if not path.is_relative_to(self.served) or not path.is_file():
            return None
        try:
            return path.open("rb")
        except OSError:
            return None

    def _head(self, size: int, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def _listing(self, made: dict[str, str]) -> str:
        files = {
            p.name for p in self.served.iterdir() if p.is_file() and not p.name.startswith(".")
        }
        lines = [
            f'<li><a href="{quote(n)}">{html.escape(n)}</a></li>' for n in sorted(files | set(made))
        ]
        return f"<!doctype html><ul>{''.join(lines)}</ul>\n"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's own name
        """Say what was asked for."""
        if not self.is_quiet:
            text = (format % args).translate(dict.fromkeys([*range(32), 127], "?"))
            sys.stderr.write(f"{self.address_string()}  {text}\n")
