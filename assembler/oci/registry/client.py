"""The client of one endpoint: oras, with requests that are safe, bounded and retried.

oras (`oras.provider.Registry`) knows the paths of the registry API, its pagination and its uploads;
all of that goes through its one method `do_request`, which this client replaces. Credentials never
follow redirects to another host, redirects and responses are bounded, only transient failures are
retried, and every failure carries the registry's own message. docs/dependencies.md has the
measurements.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import oras.container
import oras.provider

from assembler.codes import registries
from assembler.oci.manifest import MAX_MANIFEST_SIZE
from assembler.oci.registry.auth import READING, WRITING, Authenticator
from assembler.oci.registry.endpoints import RequestSubject, is_insecure, is_loopback, parse_address
from assembler.oci.registry.failures import RegistryFailure, failure_from_response, registry_failure
from assembler.oci.registry.redaction import redacted_url
from assembler.oci.registry.transport import MAX_ERROR_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import requests

    from assembler.oci.registry.credentials import CredentialSearch
    from assembler.oci.registry.endpoints import Endpoint
    from assembler.oci.registry.options import RegistryOptions
    from assembler.oci.registry.retry import Retries
    from assembler.oci.registry.transport import RequestBody, Transport

_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Client(oras.provider.Registry):  # type: ignore[misc]  # oras has no types
    """An oras client for one endpoint."""

    def __init__(
        self,
        endpoint: Endpoint,
        options: RegistryOptions,
        transport: Transport,
        retries: Retries,
        search: Callable[[str], CredentialSearch],
    ) -> None:
        """Prepare the client without a request."""
        super().__init__(hostname=endpoint.host, insecure=endpoint.scheme == "http")
        self.endpoint = endpoint
        self.transport = transport
        self.retries = retries
        # Retry a mirror less: other endpoints follow.
        self.attempts = 2 if endpoint.is_mirror else options.retry_policy.attempts
        self._options = options
        self._authority = Authenticator(endpoint, options, transport, search, retries.with_retries)

    def container(self, repository: str, name: str = "") -> oras.container.Container:
        """Return a repository of oras, perhaps with a tag or digest.

        Its own parser takes `my.org/app` for a host and `localhost/app` for a repository.
        """
        container = oras.container.Container("placeholder", registry=self.endpoint.host)
        namespace, _, last = self.endpoint.repository(repository).rpartition("/")
        container.namespace, container.repository = namespace or None, last
        container.tag = container.digest = None
        if ":" in name:
            container.digest = name
        else:
            container.tag = name or None
        return container

    def url(self, path: str) -> str:
        """Return the URL of a path as oras builds it, `HOST/v2/...`."""
        return f"{self.prefix}://{path}"

    def describe(self, url: str) -> str:
        """Describe the subject of a URL of this endpoint."""
        return RequestSubject.of_path(urlsplit(url).path).describe(self.endpoint)

    def location(self, response: requests.Response, url: str) -> str:
        """Return the URL where an upload continues."""
        target = response.headers.get("Location", "")
        what = self.describe(url)
        if not target:
            raise registry_failure(
                registries.NOT_A_REGISTRY, f"{what}: {self.endpoint.host} does not say where to"
            )
        address = parse_address(target, url)
        if address is not None and address.netloc == self.endpoint.host:
            # A registry behind a proxy often does not know that clients use https.
            return address._replace(scheme=self.endpoint.scheme).geturl()
        return self._redirect_target("GET", url, target, what)

    def _get_location(
        self, response: requests.Response, container: oras.container.Container
    ) -> str:
        """Return the URL where an upload of oras continues; oras itself accepts any URL."""
        return self.location(response, self.url(container.upload_blob_url()))

    def do_request(
        self,
        url: str,
        method: str = "GET",
        data: bytes | RequestBody | None = None,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        stream: bool = False,  # noqa: FBT001, FBT002 - the signature is that of oras
    ) -> requests.Response:
        """Send a request for oras or for this library; a returned response is a success.

        That is: 2xx, or 404 to a HEAD. Without `stream`, the body has been read, bounded.
        """
        assert json is None  # noqa: S101 - documents are sent as the bytes their digest is of
        # Requests that change something are not repeated here; their callers decide.
        repeatable = method in ("GET", "HEAD") or "/manifests/" in url
        what = self.describe(url)

        def ask() -> requests.Response:
            response = self._send_authorized(method, url, what, headers or {}, data)
            if not stream:
                response._content = self.transport.read(response, what, MAX_MANIFEST_SIZE)  # noqa: SLF001
            return response

        if not repeatable:
            return ask()
        return self.retries.with_retries(ask, self.attempts)

    def _send_authorized(
        self,
        method: str,
        url: str,
        what: str,
        headers: Mapping[str, str],
        data: bytes | RequestBody | None,
    ) -> requests.Response:
        """Send a request, and answer authentication challenges."""
        subject = RequestSubject.of_path(urlsplit(url).path)
        action = READING if method in ("GET", "HEAD") else WRITING
        used = self._authority.header(subject, action)
        # The third attempt replaces an expired token.
        for _ in range(3):
            response, last = self._follow_redirects(method, url, what, {**headers}, data, used)
            if response.status_code not in (401, 403):
                break
            if not self._is_home(last):
                raise self._stranger_refuses(response, last, what)
            if response.status_code == 403:
                break
            challenge = response.headers.get("WWW-Authenticate", "")
            body = self.transport.read(response, what, MAX_ERROR_SIZE)
            refused, used = used, self._authority.answer_challenge(challenge, subject, action, used)
            if used is None or used == refused:
                raise self._authority.access_denied(self._failure(response, body, what))
        return self._check_status(response, method, what)

    def _follow_redirects(
        self,
        method: str,
        url: str,
        what: str,
        headers: dict[str, str],
        data: bytes | RequestBody | None,
        authorization: str | None,
    ) -> tuple[requests.Response, str]:
        """Follow redirects, and return the response with its URL.

        Authorization stays with the endpoint's host.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            headers.pop("Authorization", None)
            if authorization and self._is_home(url):
                headers["Authorization"] = authorization
            if data is not None and not isinstance(data, bytes):
                data.seek(0)
            response = self.transport.send(method, url, what, headers=headers, data=data)
            target = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or not target:
                return response, url
            # Reading a short response to its end frees the connection for the next request.
            self.transport.read(response, what, MAX_ERROR_SIZE)
            url = self._redirect_target(method, url, target, what)
        raise registry_failure(
            registries.BAD_REDIRECT,
            f"{what}: {self.endpoint.host} redirects again and again, last to {redacted_url(url)}",
        )

    def _is_home(self, url: str) -> bool:
        parts = urlsplit(url)
        return (parts.scheme, parts.netloc) == (self.endpoint.scheme, self.endpoint.host)

    def _stranger_refuses(
        self, response: requests.Response, url: str, what: str
    ) -> RegistryFailure:
        """Return the refusal of a host that the endpoint named; its challenge is not answered."""
        body = self.transport.read(response, what, MAX_ERROR_SIZE)
        return self._failure(response, body, what).with_hints(
            f"{self.endpoint} leads to {urlsplit(url).netloc}, which does not get the credentials "
            f"for {self.endpoint.host}"
        )

    def _redirect_target(self, method: str, url: str, target: str, what: str) -> str:
        """Return the target of a redirect, or raise if it must not be followed."""
        address = parse_address(target, url)
        if address is None or address.scheme not in ("http", "https"):
            redirect = f"{what}: {self.endpoint.host} redirects to {redacted_url(target)!r}"
            raise registry_failure(
                registries.BAD_REDIRECT, f"{redirect}, which is no address of http"
            )
        host = address.netloc
        redirect = f"{what}: {self.endpoint.host} redirects to {redacted_url(address.geturl())}"
        if method not in ("GET", "HEAD") and not self._is_home(address.geturl()):
            raise registry_failure(
                registries.BAD_REDIRECT, f"{redirect}, but uploads are not sent elsewhere"
            )
        if address.scheme == "http" and not self._is_home(address.geturl()):
            was_plain = urlsplit(url).scheme == "http"
            if not is_insecure(host, self._options) and not (was_plain and is_loopback(host)):
                raise registry_failure(
                    registries.BAD_REDIRECT,
                    f"{redirect}, in plain http",
                    f"if you trust the network between: --insecure {host}",
                )
        return address.geturl()

    def _check_status(
        self, response: requests.Response, method: str, what: str
    ) -> requests.Response:
        status = response.status_code
        if 200 <= status < 300 or (status == 404 and method == "HEAD"):
            return response
        body = self.transport.read(response, what, MAX_ERROR_SIZE)
        failure = self._failure(response, body, what)
        raise self._authority.access_denied(failure) if status in (401, 403) else failure

    def _failure(self, response: requests.Response, body: bytes, what: str) -> RegistryFailure:
        host = urlsplit(response.url).netloc
        return failure_from_response(response.status_code, response.headers, body, what, host)
