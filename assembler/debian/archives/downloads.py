"""Download the files of an archive over HTTP, or read them from a directory."""

from __future__ import annotations

import hashlib
import re
import threading
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from assembler.codes import packages
from assembler.debian.engine_protocol import unknown_host_error
from assembler.errors import PackageError, is_disk_error, wrap_os_errors
from assembler.oci import RunStoppedError
from assembler.tools import current_cancellation
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

_CHUNK = 1 << 18
_TIMEOUT = (10.0, 30.0)
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")
_RETRY_DELAYS = (0.3, 1.5)
_FILE_SCHEMES = ("file", "copy")
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class NotInRepositoryError(Exception):
    """The archive does not have the file."""


@dataclass(slots=True)
class Downloader:
    """Downloads files; several threads may use it, and any of them may stop it."""

    stopped: threading.Event = field(default_factory=threading.Event)
    # The slowest rate in bytes per second, and how long it is measured.
    min_rate: int = 1024
    rate_window: float = 30.0
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _responses: set[requests.Response] = field(default_factory=set)

    def close(self) -> None:
        """Stop all downloads."""
        self.stopped.set()
        with self._lock:
            for response in self._responses:
                with suppress(Exception):  # it may end at this moment, in any state
                    response.raw.shutdown()

    def read(self, uri: str, max_size: int) -> bytes:
        """Return the content of a small file."""
        pieces: list[bytes] = []
        self.download(uri, max_size, pieces.append, pieces.clear)
        return b"".join(pieces)

    def download(
        self,
        uri: str,
        max_size: int,
        write: Callable[[bytes], object],
        restart: Callable[[], object] = lambda: None,
    ) -> None:
        """Pass a file of at most `max_size` bytes to `write`; call `restart` to begin again.

        A retry continues where the last attempt ended, if the server can do so.
        """
        done = _Progress(write, restart)
        cancellation = current_cancellation()
        for delay in (*_RETRY_DELAYS, None):
            if cancellation is not None:
                cancellation.check()
            try:
                self._download_once(uri, max_size, done)
            except _TransientError as error:
                if delay is None or error.final or self.stopped.is_set():
                    raise _download_error(uri, str(error)) from error
            else:
                return
            self.stopped.wait(delay)

    def _download_once(self, uri: str, max_size: int, done: _Progress) -> None:
        with self._chunks(uri, done) as chunks:
            for chunk in chunks:
                if self.stopped.is_set():
                    raise RunStoppedError
                if done.size + len(chunk) > max_size:
                    raise PackageError.of(
                        packages.NO_MIRROR,
                        f"{uri} is larger than the expected {max_size} bytes",
                        "the mirror may be in the middle of an update: try again",
                    )
                done.write(chunk)

    @contextmanager
    def _chunks(self, uri: str, done: _Progress) -> Iterator[Iterator[bytes]]:
        scheme = urlsplit(uri).scheme
        if scheme in _FILE_SCHEMES:
            path = Path(unquote(urlsplit(uri).path))
            if not path.is_file():
                raise NotInRepositoryError(uri)
            done.continue_at(0)
            with ExitStack() as stack:
                with wrap_os_errors(path, "read"):
                    file = stack.enter_context(path.open("rb"))
                # Errors of the block are those of the file that it writes.
                yield _read_chunks(file, path)
        elif scheme in ("http", "https"):
            with self._open_response(uri, done.size) as response:
                part = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
                done.continue_at(int(part[1]) if part and response.status_code == 206 else 0)
                yield self._body(response)
        else:
            raise PackageError.of(
                packages.NO_MIRROR,
                f"archives are read from http, https and file URLs, not from {uri}",
                "apt supports more schemes; without apt, name a mirror with --debian-mirror",
            )

    def _body(self, response: requests.Response) -> Iterator[bytes]:
        """Yield the body in pieces of any size; a body that comes too slowly is cut off."""
        from assembler.transfer_limits import RateWatch  # noqa: PLC0415 - requests is slow to load

        slow = _TransientError(
            f"the mirror sent less than {self.min_rate} bytes per second for {self.rate_window:g} s"
        )
        with RateWatch(self.min_rate, self.rate_window, response.raw.shutdown) as watch:
            try:
                while chunk := response.raw.read1(_CHUNK, decode_content=True):
                    watch.advance(len(chunk))
                    yield chunk
            except Exception as error:
                if watch.too_slow:
                    raise slow from error
                raise
            if watch.too_slow:
                raise slow

    @contextmanager
    def _open_response(self, uri: str, offset: int) -> Iterator[requests.Response]:
        import requests  # noqa: PLC0415 - 80 ms, for archives that are not on a disk
        import urllib3  # noqa: PLC0415

        response = None
        try:
            response = self._session().get(
                uri,
                stream=True,
                timeout=_TIMEOUT,
                headers={"Range": f"bytes={offset}-"} if offset else {},
            )
            with self._lock:
                self._responses.add(response)
            if self.stopped.is_set():
                raise RunStoppedError
            if response.status_code in (404, 410):
                raise NotInRepositoryError(uri)
            if response.status_code in _TRANSIENT_STATUSES:
                raise _TransientError(f"{response.status_code} {response.reason}")
            if response.status_code == 416:
                raise _download_error(uri, "the file there is shorter than what has arrived")
            if response.status_code not in (200, 206):
                raise _download_error(uri, f"{response.status_code} {response.reason}")
            yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, OSError) and is_disk_error(error):
                raise  # an error of `write`
            if self.stopped.is_set():
                raise RunStoppedError from error
            if "Failed to resolve" in str(error):
                raise unknown_host_error(urlsplit(uri).hostname or uri) from error
            # A host that does not answer the first time does not do so a second later.
            final = isinstance(error, requests.ConnectTimeout)
            raise _TransientError(_root_cause(error), final=final) from error
        finally:
            if response is not None:
                with self._lock:
                    self._responses.discard(response)
                response.close()

    def _session(self) -> requests.Session:
        """Return the session of this thread, which uses the proxies of the environment."""
        from assembler.http_requests import HttpSession  # noqa: PLC0415 - requests is slow to load

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = HttpSession()
            session.max_redirects = 5
            session.headers.update(
                {"User-Agent": f"dolmen/{__version__}", "Accept-Encoding": "identity"}
            )
        return session


class HashingWriter:
    """Writes a file, and computes its digest and size."""

    def __init__(self, file: IO[bytes]) -> None:
        """Start with an empty file."""
        self._file = file
        self.restart()

    def write(self, data: bytes) -> None:
        """Append data."""
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)

    def restart(self) -> None:
        """Truncate the file and start again."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Return the digest of the written data."""
        return self._hash.hexdigest()


class _TransientError(Exception):
    """An error that a retry may overcome, unless it is `final`."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(slots=True)
class _Progress:
    """The part of a file that has arrived."""

    pass_on: Callable[[bytes], object]
    restart: Callable[[], object]
    size: int = 0

    def write(self, chunk: bytes) -> None:
        """Pass a chunk on."""
        self.pass_on(chunk)
        self.size += len(chunk)

    def continue_at(self, offset: int) -> None:
        """Prepare for the content from there on: a server may not know ranges."""
        if offset != self.size:
            self.restart()
            self.size = 0
        if offset != self.size:
            raise _TransientError("the mirror sent another part of the file")


def _read_chunks(file: IO[bytes], path: Path) -> Iterator[bytes]:
    while True:
        with wrap_os_errors(path, "read"):
            chunk = file.read(_CHUNK)
        if not chunk:
            return
        yield chunk


def _root_cause(error: BaseException) -> str:
    """Return the message of the innermost error."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(inner, BaseException):
        return _root_cause(inner)
    text = str(error)
    return text.rsplit(">: ", 1)[-1] or type(error).__name__


def _download_error(uri: str, reason: str) -> PackageError:
    return PackageError.of(
        packages.NO_MIRROR,
        f"cannot download {uri}: {reason}",
        "check that this machine can reach the mirror; http_proxy and https_proxy name a proxy",
    )
