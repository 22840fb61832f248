"""All registries of one run: a client for each endpoint, mirrors first, the origin last."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from assembler.codes import images
from assembler.codes import registries as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError, ImageError, RegistryError
from assembler.events import NullReporter, WarningEmitted
from assembler.oci.registry.client import Client
from assembler.oci.registry.credentials import find_credentials
from assembler.oci.registry.endpoints import (
    origin_endpoint,
    parse_address,
    registry_endpoints,
    without_port,
)
from assembler.oci.registry.failures import RegistryFailure
from assembler.oci.registry.retry import Retries
from assembler.oci.registry.transport import Transport
from assembler.oci.registry.unreachable import UnreachableHosts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.codes import Code
    from assembler.events import Reporter
    from assembler.oci.registry.credentials import CredentialSearch
    from assembler.oci.registry.endpoints import Endpoint
    from assembler.oci.registry.options import RegistryOptions

T = TypeVar("T")
_PING, _PING_ATTEMPTS = "/v2/", 3
# Failures of one image; the mirror may still serve others.
_OF_ONE_IMAGE = (
    codes.NOT_FOUND,
    codes.ACCESS_DENIED,
    codes.WRONG_CONTENT,
    images.BAD_MANIFEST,
    images.CORRUPT_BLOB,
)


class Registries:
    """The clients of a run, created on demand; methods are safe to call from threads."""

    def __init__(self, options: RegistryOptions, reporter: Reporter | None = None) -> None:
        """Prepare without a connection."""
        self.options = options
        self.reporter: Reporter = reporter or NullReporter()
        self.retries = Retries(options.retry_policy, self.reporter)
        self._unreachable = options.unreachable or UnreachableHosts()
        self._transport = Transport(options, self._unreachable)
        self._clients: dict[Endpoint, Client] = {}
        self._down: dict[Endpoint, DolmenError] = {}
        self._warned: set[tuple[Endpoint, Code]] = set()
        self._searches: dict[str, CredentialSearch] = {}
        self._lock = threading.RLock()

    def try_endpoints(self, registry: str, work: Callable[[Client], T]) -> T:
        """Do `work` with the endpoints of a registry in order, until one succeeds."""
        *mirrors, origin = registry_endpoints(registry, self.options)
        failed: list[str] = []
        for mirror in mirrors:
            if mirror in self._down:
                continue
            try:
                return work(self.client(mirror))
            except (RegistryError, ImageError) as error:
                if isinstance(error, RegistryFailure):
                    self._unreachable.add(error)
                failed.append(f"{mirror} did not help: {error.diagnostics[0].message}")
                self._record_fallback(mirror, error)
        client = None
        try:
            client = self.client(origin)
            return work(client)
        except RegistryFailure as error:
            if client is not None and error.is_down:
                # Do not wait for a host twice.
                client.attempts = 1
            raise self._unreachable.add(error).with_hints(*failed) from None

    def origin(self, registry: str) -> Client:
        """Return the client of the registry itself, without mirrors."""
        return self.client(origin_endpoint(registry, self.options))

    def client(self, endpoint: Endpoint) -> Client:
        """Return the endpoint's client."""
        with self._lock:
            if endpoint in self._down:
                raise self._down[endpoint]
            client = self._clients.get(endpoint)
            if client is None:
                known_endpoint = endpoint if endpoint.scheme else self._probe_scheme(endpoint)
                client = Client(
                    known_endpoint, self.options, self._transport, self.retries, self._search
                )
                self._clients[endpoint] = client
            return client

    def abort(self) -> None:
        """Stop all transfers and waits."""
        self.retries.stop.set()
        self._transport.abort()

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _probe_scheme(self, endpoint: Endpoint) -> Endpoint:
        """Find out whether a host that may use plain http does so."""
        url = f"http://{endpoint.host}{_PING}"

        def ask() -> Endpoint:
            response = self._transport.send("GET", url, str(endpoint))
            body = self._transport.read(response, str(endpoint), 1 << 10)
            redirect = parse_address(response.headers.get("Location", ""))
            # A TLS server answers plain http with an error or a redirect to https.
            if (response.status_code == 400 and b"HTTPS" in body) or (
                redirect and redirect.scheme == "https"
            ):
                return replace(endpoint, scheme="https")
            return replace(endpoint, scheme="http")

        try:
            return self.retries.with_retries(ask, _PING_ATTEMPTS)
        except RegistryFailure as error:
            # Without a port in the name, https has another port.
            has_port = endpoint.host != without_port(endpoint.host)
            if error.connection_broken or (error.code is codes.UNREACHABLE and not has_port):
                return replace(endpoint, scheme="https")
            self._down[endpoint] = error
            raise

    def _search(self, host: str) -> CredentialSearch:
        with self._lock:
            if host not in self._searches:
                self._searches[host] = find_credentials(
                    host, self.options.credentials, self.options.config_files
                )
            return self._searches[host]

    def _record_fallback(self, mirror: Endpoint, error: DolmenError) -> None:
        """Warn once of each kind of failure of a mirror, and skip mirrors that are down."""
        code = error.diagnostics[0].code
        with self._lock:
            if code not in _OF_ONE_IMAGE:
                self._down[mirror] = error
            if code is codes.NOT_FOUND or (mirror, code) in self._warned:
                return
            self._warned.add((mirror, code))
        message = f"{mirror} did not help: {error.diagnostics[0].message}"
        warning = Diagnostic(codes.MIRROR_FAILED, message, severity=Severity.WARNING)
        self.reporter.emit(WarningEmitted(warning))


@contextmanager
def open_registries(
    options: RegistryOptions, reporter: Reporter | None = None
) -> Iterator[Registries]:
    """Open the registries of a run, and close their connections at its end."""
    run = Registries(options, reporter)
    try:
        yield run
    finally:
        run.close()
