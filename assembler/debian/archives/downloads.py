"""Download the files of an archive over HTTP, or read them from a directory."""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from assembler.codes import packages
from assembler.errors import PackageError, is_disk_error, wrap_os_errors
from assembler.oci import RunStoppedError
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import requests

_CHUNK = 1 << 18
_TIMEOUT = (15.0, 60.0)
_RETRY_DELAYS = (0.3, 1.5)
_FILE_SCHEMES = ("file", "copy")
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class NotInRepositoryError(Exception):
    """The archive does not have the file."""


@dataclass(slots=True)
class Downloader:
    """Downloads files; several threads may use it, and any of them may stop it."""

    stopped: threading.Event = field(default_factory=threading.Event)
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
        """Pass a file of at most `max_size` bytes to `write`; call `restart` before each retry."""
        for delay in (*_RETRY_DELAYS, None):
            try:
                self._download_once(uri, max_size, write)
            except _TransientError as error:
                if delay is None or self.stopped.is_set():
                    raise _download_error(uri, str(error)) from error
            else:
                return
            self.stopped.wait(delay)
            restart()

    def _download_once(self, uri: str, max_size: int, write: Callable[[bytes], object]) -> None:
        budget = max_size
        with self._chunks(uri) as chunks:
            for chunk in chunks:
                if self.stopped.is_set():
                    raise RunStoppedError
                budget -= len(chunk)
                if budget < 0:
                    raise PackageError.of(
                        packages.NO_MIRROR,
                        f"{uri} is larger than the expected {max_size} bytes",
                        "the mirror may be in the middle of an update: try again",
                    )
                write(chunk)

    @contextmanager
    def _chunks(self, uri: str) -> Iterator[Iterator[bytes]]:
        scheme = urlsplit(uri).scheme
        if scheme in _FILE_SCHEMES:
            path = Path(unquote(urlsplit(uri).path))
            if not path.is_file():
                raise NotInRepositoryError(uri)
            with wrap_os_errors(path, "read"), path.open("rb") as file:
                yield _read_chunks(file)
        elif scheme in ("http", "https"):
            with self._open_response(uri) as response:
                yield response.iter_content(_CHUNK)
        else:
            raise PackageError.of(
                packages.NO_MIRROR,
                f"archives are read from http, https and file URLs, not from {uri}",
                "apt supports more schemes; without apt, name a mirror with --debian-mirror",
            )

    @contextmanager
    def _open_response(self, uri: str) -> Iterator[requests.Response]:
        import requests  # noqa: PLC0415 - 80 ms, for archives that are not on a disk
        import urllib3  # noqa: PLC0415

        response = None
        try:
            response = self._session().get(uri, stream=True, timeout=_TIMEOUT)
            with self._lock:
                self._responses.add(response)
            if self.stopped.is_set():
                raise RunStoppedError
            if response.status_code in (404, 410):
                raise NotInRepositoryError(uri)
            if response.status_code in _TRANSIENT_STATUSES:
                raise _TransientError(f"{response.status_code} {response.reason}")
            if response.status_code != 200:
                raise _download_error(uri, f"{response.status_code} {response.reason}")
            yield response
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, OSError) and is_disk_error(error):
                raise  # an error of `write`
            if self.stopped.is_set():
                raise RunStoppedError from error
            raise _TransientError(_root_cause(error)) from error
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
    """An error that a retry may overcome."""


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
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
