"""Downloads of YAML files and their sources from http(s) URLs, limited in size and time."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from assembler.codes import config as codes
from assembler.config.urls import printable_name
from assembler.diagnostics import Place, SourceText
from assembler.errors import ConfigError
from assembler.http_requests import HttpSession
from assembler.thread_waits import time_limit

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECT_TIMEOUT = 10.0
_READ_TIMEOUT = 20.0
_MAX_SECONDS = 60.0
_MAX_REDIRECTS = 5
_CHUNK_SIZE = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MISSING = (404, 410)


class DownloadFailure(Exception):  # noqa: N818 - it becomes an error of its caller
    """The reason why a URL cannot be fetched."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        """Hold the reason; `missing` says that the server has no such file."""
        super().__init__(reason)
        self.missing = missing


def download(url: str, max_size: int) -> bytes:
    """Return the content of a YAML file; stop as soon as it is longer than `max_size`."""
    try:
        return read_url(url, max_size)
    except DownloadFailure as failure:
        name = printable_name(url)
        place = Place(SourceText(name, ""))
        message = f"cannot fetch {name}: {failure}"
        raise ConfigError.of(codes.DOWNLOAD_FAILED, message, place=place) from failure


def read_url(url: str, max_size: int, seconds: float | None = None) -> bytes:
    """Return the content of the URL; stop as soon as it is longer than `max_size`."""
    limit = _MAX_SECONDS if seconds is None else min(seconds, _MAX_SECONDS)
    deadline = time.monotonic() + limit
    with _failures(), HttpSession() as session, _response(session, url) as response:
        if response.status_code != requests.codes.ok:
            reason = f"the server says {response.status_code} {response.reason}"
            raise DownloadFailure(reason.strip(), missing=response.status_code in _MISSING)
        late = DownloadFailure(f"not complete after {limit:.0f} seconds")
        content = bytearray()
        # A server that sends little at a time must not outlast the limit.
        with time_limit(max(0.0, deadline - time.monotonic()), response.raw.shutdown) as is_cut:
            try:
                while chunk := response.raw.read1(_CHUNK_SIZE, decode_content=True):
                    content += chunk
                    if len(content) > max_size:
                        break
            except (OSError, urllib3.exceptions.HTTPError) as error:
                if is_cut.is_set():
                    raise late from error
                raise
        if is_cut.is_set():
            raise late
        return bytes(content)


@contextmanager
def _response(session: HttpSession, url: str) -> Iterator[requests.Response]:
    """Follow redirects here: requests reads the bodies of redirects, of any length."""
    current, timeout = url, (_CONNECT_TIMEOUT, _READ_TIMEOUT)
    for _ in range(_MAX_REDIRECTS + 1):
        with session.get(current, stream=True, timeout=timeout, allow_redirects=False) as response:
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not target:
                yield response
                return
        current = _redirect_target(current, target)
    raise DownloadFailure("too many redirects")


def _redirect_target(url: str, target: str) -> str:
    """Return the target of a redirect: with https, or on the same host with the same scheme."""
    before, after = urlsplit(url), urlsplit(urljoin(url, target))
    user, at, host = before.netloc.rpartition("@")
    # Credentials in a redirect are not the user's.
    new_host = after.netloc.rpartition("@")[2]
    same = (before.scheme, host) == (after.scheme, new_host)
    if after.scheme != "https" and not same:
        shown = after._replace(netloc=new_host, query="", fragment="").geturl()
        raise DownloadFailure(f"it leads to {shown}, which is neither https nor on the same host")
    return after._replace(netloc=f"{user}{at}{host}" if same else new_host).geturl()


@contextmanager
def _failures() -> Iterator[None]:
    """Turn errors of the network into failures."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise DownloadFailure(_reason(error)) from error
    except (ValueError, OSError) as error:
        # Raised for host names and ports that no socket accepts.
        raise DownloadFailure(str(error)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "the server does not answer"
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return "this is not a URL"
    if "Failed to resolve" in str(error):
        return "there is no such host"
    if isinstance(error, requests.ConnectionError):
        return "cannot connect to the server"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "the connection broke"
    return str(error)
