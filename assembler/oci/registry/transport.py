"""Transport: single HTTP requests over persistent connections, with timeouts, trust and proxies.

Retries, redirects and credentials are up to the callers. Network errors become `RegistryFailure`.
"""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import requests
import requests.utils
import urllib3

from assembler.errors import RegistryError, host_error
from assembler.oci.registry.endpoints import is_insecure, is_loopback
from assembler.oci.registry.failures import failure_from_exception, too_slow
from assembler.oci.registry.unreachable import UnreachableHosts
from assembler.thread_waits import time_limit
from assembler.transfer_limits import BoundedAdapter, RateWatch
from assembler.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.oci.registry.options import RegistryOptions

_NETWORK = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)
# Longer error responses are not read completely.
MAX_ERROR_SIZE = 16 << 10
USER_AGENT = f"dolmen/{__version__}"
HEADERS = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}


class RequestBody(Protocol):
    """The body of a large request; it can be rewound."""

    def read(self, size: int = -1, /) -> bytes:
        """Read the next bytes."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Begin again."""


class Transport:
    """The connections of a run to all hosts, shared by its threads."""

    def __init__(
        self, options: RegistryOptions, unreachable: UnreachableHosts | None = None
    ) -> None:
        """Prepare without a connection; hosts that are `unreachable` are not tried."""
        self._options = options
        self._unreachable = unreachable or UnreachableHosts()
        self._long: set[requests.Response] = set()
        self._lock = threading.Lock()
        self._adapter = _TransportAdapter(options, pool_maxsize=options.jobs + 2)

    def send(
        self,
        method: str,
        url: str,
        what: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
        data: bytes | RequestBody | Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send one request and return the response, whose body must be read and closed."""
        host = urlsplit(url).netloc
        known = self._unreachable.failure(host)
        if known is not None:
            raise known
        with self.network_errors(what, host):
            # Not through a session of requests: that reads answers which redirect, of any length,
            # parses where they lead, keeps cookies, and adds what ~/.netrc says.
            request = requests.Request(
                method, url, headers={**HEADERS, **(headers or {})}, params=params, data=data
            )
            return self._adapter.send(
                request.prepare(),
                stream=True,
                proxies=_proxies(url),
                timeout=(self._options.connect_timeout, self._options.stall_timeout),
            )

    @contextmanager
    def network_errors(self, what: str, host: str) -> Iterator[None]:
        """Turn network errors inside the block into failures."""
        try:
            yield
        except _NETWORK as error:
            raise failure_from_exception(error, what, host, self._options.stall_timeout) from None

    def read(self, response: requests.Response, what: str, limit: int) -> bytes:
        """Read and close a small response, at most `limit` + 1 bytes of it, in limited time."""
        seconds, host = self._options.document_seconds, urlsplit(response.url).netloc
        slow = too_slow(what, host, f"did not send all of it in {seconds:g} s")
        with response, time_limit(seconds, response.raw.shutdown) as is_cut:
            parts, left = [], limit + 1
            try:
                with self.network_errors(what, host):
                    while left and (part := response.raw.read(left, decode_content=True)):
                        parts.append(part)
                        left -= len(part)
            except RegistryError:
                if is_cut.is_set():
                    raise slow from None
                raise
            if is_cut.is_set():
                raise slow
            return b"".join(parts)

    @contextmanager
    def watch(self, response: requests.Response, what: str) -> Iterator[RateWatch]:
        """Cut off a long response that is read in the block if it comes too slowly."""
        rate, window = self._options.min_rate, self._options.rate_window
        host = urlsplit(response.url).netloc
        slow = too_slow(what, host, f"sent less than {rate} bytes per second for {window:g} s")
        with RateWatch(rate, window, response.raw.shutdown) as watch:
            try:
                yield watch
            except RegistryError:
                if watch.too_slow:
                    raise slow from None
                raise
            if watch.too_slow:
                raise slow

    @contextmanager
    def abortable(self, response: requests.Response) -> Iterator[None]:
        """Let `abort` cut off a long response that is read inside the block."""
        with self._lock:
            self._long.add(response)
        try:
            yield
        finally:
            with self._lock:
                self._long.discard(response)

    def abort(self) -> None:
        """Cut off the long responses, so that their readers wake up."""
        with self._lock:
            for response in self._long:
                with suppress(Exception):  # it may be over at this very moment, in any state
                    response.raw.shutdown()

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()


class _TransportAdapter(BoundedAdapter):
    """Connections that trust this machine's authorities and the given ones."""

    def __init__(self, options: RegistryOptions, pool_maxsize: int) -> None:
        self._options = options
        super().__init__(pool_connections=8, pool_maxsize=pool_maxsize)

    def build_connection_pool_key_attributes(  # type: ignore[override]  # private types
        self, request: requests.PreparedRequest, verify: object, cert: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return how to connect; overrides the choice of requests, which knows only certifi."""
        del verify, cert
        url = urlsplit(str(request.url))
        where = {"scheme": url.scheme, "host": url.hostname, "port": url.port}
        if url.scheme != "https":
            return where, {}
        if is_insecure(url.netloc, self._options):
            return where, {"ssl_context": self._insecure_context, "assert_hostname": False}
        return where, {"ssl_context": self._verifying_context}

    def cert_verify(self, conn: object, url: str, verify: object, cert: object) -> None:
        """Leave everything to the context."""

    @cached_property
    def _verifying_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        for path in self._options.cert_files:
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:  # an ssl.SSLError, too: a file without certificates
                raise host_error(error, path, "read certificates from") from error
        return context

    @cached_property
    def _insecure_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


def _proxies(url: str) -> dict[str, str]:
    """Return the proxies that the environment names for the URL; none lead to this machine."""
    if is_loopback(urlsplit(url).netloc):
        return {}
    found: dict[str, str] = requests.utils.get_environ_proxies(url, no_proxy=None)
    return found
