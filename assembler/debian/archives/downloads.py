"""Bringing files of an archive: by HTTP, as the environment's proxies say, or from a directory."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
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
    import requests

_CHUNK = 1 << 18
_TIMEOUT = (15.0, 60.0)
_RETRY_DELAYS = (0.3, 1.5)
_FILE_SCHEMES = ("file", "copy")
_TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})


class FileNotInArchiveError(Exception):
    """The archive has no such file."""


@dataclass(slots=True)
class Downloader:
    """Reads files at addresses; to be used by several threads, and stopped by any."""

    stop: threading.Event = field(default_factory=threading.Event)
    _local: threading.local = field(default_factory=threading.local)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _open: set[requests.Response] = field(default_factory=set)

    def close(self) -> None:
        """End whatever is being read."""
        self.stop.set()
        with self._lock:
            for answer in self._open:
                with suppress(Exception):  # it may be over at this very moment, in any state
                    answer.raw.shutdown()

    def read(self, uri: str, most: int) -> bytes:
        """Return a small file."""
        pieces: list[bytes] = []
        self.copy(uri, most, pieces.append, pieces.clear)
        return b"".join(pieces)

    def copy(
        self,
        uri: str,
        most: int,
        take: Callable[[bytes], object],
        again: Callable[[], object] = lambda: None,
    ) -> None:
        """Hand a file over piece by piece, `most` bytes of it; `again` precedes each new try."""
        for pause in (*_RETRY_DELAYS, None):
            try:
                self._once(uri, most, take)
            except _TransientError as error:
                if pause is None or self.stop.is_set():
                    raise _download_error(uri, str(error)) from error
            else:
                return
            self.stop.wait(pause)
            again()

    def _once(self, uri: str, most: int, take: Callable[[bytes], object]) -> None:
        left = most
        with self._chunks(uri) as chunks:
            for chunk in chunks:
                if self.stop.is_set():
                    raise RunStoppedError
                left -= len(chunk)
                if left < 0:
                    raise PackageError.of(
                        packages.NO_MIRROR,
                        f"{uri} is larger than the {most} bytes that it should have",
                        "the mirror may just be changing: try again, or choose another mirror",
                    )
                take(chunk)

    @contextmanager
    def _chunks(self, uri: str) -> Iterator[Iterator[bytes]]:
        scheme = urlsplit(uri).scheme
        if scheme in _FILE_SCHEMES:
            path = Path(unquote(urlsplit(uri).path))
            if not path.is_file():
                raise FileNotInArchiveError(uri)
            with wrap_os_errors(path, "read"), path.open("rb") as file:
                yield _read_chunks(file)
        elif scheme in ("http", "https"):
            with self._answer(uri) as answer:
                yield answer.iter_content(_CHUNK)
        else:
            raise PackageError.of(
                packages.NO_MIRROR,
                f"archives are read from http, https and file addresses, and not {uri}",
                "apt knows other ways; without apt, name a mirror with --debian-mirror",
            )

    @contextmanager
    def _answer(self, uri: str) -> Iterator[requests.Response]:
        import requests  # noqa: PLC0415 - 80 ms, for archives that are not on a disk
        import urllib3  # noqa: PLC0415

        answer = None
        try:
            answer = self._session().get(uri, stream=True, timeout=_TIMEOUT)
            with self._lock:
                self._open.add(answer)
            if self.stop.is_set():
                raise RunStoppedError
            if answer.status_code in (404, 410):
                raise FileNotInArchiveError(uri)
            if answer.status_code in _TRANSIENT_STATUSES:
                raise _TransientError(f"{answer.status_code} {answer.reason}")
            if answer.status_code != 200:
                raise _download_error(uri, f"{answer.status_code} {answer.reason}")
            yield answer
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if isinstance(error, OSError) and is_disk_error(error):
                raise  # of whoever writes what is read here
            if self.stop.is_set():
                raise RunStoppedError from error
            raise _TransientError(_root_cause(error)) from error
        finally:
            if answer is not None:
                with self._lock:
                    self._open.discard(answer)
                answer.close()

    def _session(self) -> requests.Session:
        """Return the thread's own session, which follows the proxies of the environment."""
        import requests  # noqa: PLC0415

        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.max_redirects = 5
            session.headers.update(
                {"User-Agent": f"dolmen/{__version__}", "Accept-Encoding": "identity"}
            )
        return session


class HashingWriter:
    """A file being written, with its digest and size."""

    def __init__(self, file: IO[bytes]) -> None:
        """Begin with nothing."""
        self._file = file
        self.again()

    def write(self, data: bytes) -> None:
        """Write what comes next."""
        self._hash.update(data)
        self.size += len(data)
        self._file.write(data)

    def again(self) -> None:
        """Start over."""
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Return the digest of what was written."""
        return self._hash.hexdigest()


class _TransientError(Exception):
    """Something that may work if it is tried again."""


def _read_chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _root_cause(error: BaseException) -> str:
    """Return the last words of an error that wraps others."""
    inner = getattr(error, "reason", None) or (error.args[0] if error.args else None)
    if isinstance(inner, BaseException):
        return _root_cause(inner)
    text = str(error)
    return text.rsplit(">: ", 1)[-1] or type(error).__name__


def _download_error(uri: str, why: str) -> PackageError:
    return PackageError.of(
        packages.NO_MIRROR,
        f"{uri} cannot be had: {why}",
        "is the mirror there, and can this machine reach it? A proxy is taken from http_proxy and "
        "https_proxy",
    )
