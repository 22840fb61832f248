"""Authorization at one endpoint: answers to its challenges, tokens by their scope.

Credentials go to their own host, and to the token service that this host names: over https, or over
plain http on this machine and to hosts that the user has allowed it for. Only challenges of the
endpoint itself come here: those of hosts that it redirects to are not answered.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from oras.auth import get_auth_backend
from oras.auth.utils import authHeader

from assembler.codes import registries
from assembler.oci.registry.credentials import CredentialSearch
from assembler.oci.registry.endpoints import is_insecure, is_loopback, parse_address
from assembler.oci.registry.failures import RegistryFailure, failure_from_response, registry_failure
from assembler.oci.registry.redaction import redacted_url
from assembler.oci.registry.transport import MAX_ERROR_SIZE, USER_AGENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import requests

    from assembler.oci.registry.credentials import Credentials
    from assembler.oci.registry.endpoints import Endpoint, RequestSubject
    from assembler.oci.registry.options import RegistryOptions
    from assembler.oci.registry.transport import Transport

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)(?:\s+|\Z)(?!=)")
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*,?')
_LARGEST_TOKEN_ANSWER = 1 << 20
READING, WRITING = "pull", "pull,push"

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class AuthChallenge:
    """One authentication scheme that a server accepts, with its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def parse_challenges(header: str) -> Iterator[AuthChallenge]:
    """Parse a WWW-Authenticate header, which may hold several challenges."""
    at = 0
    while match := _SCHEME.match(header, at):
        at, parameters = match.end(), {}
        while one := _PARAMETER.match(header, at):
            quoted, plain = one[2], one[3]
            value = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[one[1].lower()] = value
            at = one.end()
        yield AuthChallenge(match[1].lower(), parameters)


@dataclass(slots=True)
class Authenticator:
    """The credentials and tokens for one endpoint."""

    endpoint: Endpoint
    options: RegistryOptions
    transport: Transport
    search: Callable[[str], CredentialSearch]
    # Repeats a request after transient failures.
    with_retries: Callable[[Callable[[], requests.Response]], requests.Response]
    _known: dict[Key, str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _searched: CredentialSearch | None = None

    def header(self, subject: RequestSubject, action: str) -> str | None:
        """Return the header that was accepted for such a request before, or None."""
        return self._known.get((subject.repository, action)) or self._known.get(("", ""))

    def answer_challenge(
        self, challenge: str, subject: RequestSubject, action: str, refused: str | None
    ) -> str | None:
        """Return another header than the `refused` one, or None."""
        with self._lock:
            now = self.header(subject, action)
            if now is not None and now != refused:
                return now  # from another thread
            key, made = self._make(challenge, subject, action)
            if made is None or made == refused:
                return None
            self._known[key] = made
            return made

    def access_denied(self, refusal: RegistryFailure) -> RegistryFailure:
        """Return the refusal with the credentials tried, and hints."""
        name = self.endpoint.host if self.endpoint.is_mirror else self.endpoint.registry
        search = self._searched or CredentialSearch(None)
        where = "; ".join(search.tried) or "there is no config.json of Docker"
        said = (
            f"the credentials used are those from {search.found.source}"
            if search.found
            else f"no credentials were found for {name}: {where}"
        )
        hints = [said, f"docker login {name}, or --registry-creds {name}=USER:PASS"]
        if search.found and not self._is_trusted():
            hints = [
                f"the credentials from {search.found.source} are not sent over plain http",
                f"if you trust the network between: --insecure {self.endpoint.host}",
            ]
        made = registry_failure(registries.ACCESS_DENIED, refusal.diagnostics[0].message, *hints)
        made.status = refusal.status
        return made

    def _credentials(self) -> Credentials | None:
        if self._searched is None:
            self._searched = self.search(self.endpoint.host)
        return self._searched.found if self._is_trusted() else None

    def _is_trusted(self) -> bool:
        """Tell whether credentials may be sent to the endpoint: not over plain http by default."""
        host = self.endpoint.host
        plain_is_fine = is_loopback(host) or is_insecure(host, self.options)
        return self.endpoint.scheme == "https" or plain_is_fine

    def _make(self, challenge: str, subject: RequestSubject, action: str) -> tuple[Key, str | None]:
        """Return a header and its scope; a registry token is valid for all scopes."""
        credentials = self._credentials()
        ways = {c.scheme: c.parameters for c in parse_challenges(challenge)}
        if credentials and credentials.registry_token:
            return ("", ""), f"Bearer {credentials.registry_token}"
        if "bearer" in ways:
            token = self._token(ways["bearer"], subject, action, credentials)
            return (subject.repository, action), f"Bearer {token}"
        if "basic" in ways and credentials and credentials.basic:
            return ("", ""), f"Basic {credentials.basic}"
        return ("", ""), None

    def _token(
        self,
        parameters: Mapping[str, str],
        subject: RequestSubject,
        action: str,
        credentials: Credentials | None,
    ) -> str:
        realm = self._realm(parameters.get("realm", ""))
        scope = parameters.get("scope", "").split()
        if not scope and subject.repository:
            scope = [f"repository:{subject.repository}:{action}"]
        if credentials and credentials.identity_token:
            return self._token_for_identity(realm, parameters, scope, credentials)
        asker = get_auth_backend("token", session=_TokenSession(self))
        if credentials and credentials.basic:
            asker.set_basic_auth(credentials.user, credentials.password)
        header = authHeader({"realm": realm, "service": parameters.get("service"), "scope": scope})
        return self._checked(asker.request_token(header), realm)

    def _token_for_identity(
        self, realm: str, parameters: Mapping[str, str], scope: list[str], who: Credentials
    ) -> str:
        """Exchange an identity token, which oras does not support."""
        form = {
            "grant_type": "refresh_token",
            "service": parameters.get("service", ""),
            "client_id": "dolmen",
            "scope": " ".join(scope),
            "refresh_token": who.identity_token,
        }
        return self._checked(_TokenSession(self).post(realm, form).token(), realm)

    def _realm(self, realm: str) -> str:
        """Return the token service's URL if credentials may be sent there."""
        url = parse_address(realm)
        plain_is_fine = (
            url is not None
            and self.endpoint.scheme == "http"
            and (is_loopback(url.netloc) or is_insecure(url.netloc, self.options))
        )
        if url is not None and (url.scheme == "https" or (url.scheme == "http" and plain_is_fine)):
            return url.geturl()
        raise registry_failure(
            registries.TOKEN_REFUSED,
            f"{self.endpoint}: its token service {redacted_url(realm)!r} is not to be trusted: "
            "it is not at an https address",
        )

    def _checked(self, token: object, realm: str) -> str:
        if isinstance(token, str) and token and token.isascii() and token.isprintable():
            return token
        raise registry_failure(
            registries.TOKEN_REFUSED,
            f"{self.endpoint}: what its token service {redacted_url(realm)} sent holds no token",
        )


class _TokenResponse:
    """The part of a response that oras uses."""

    def __init__(self, body: bytes) -> None:
        self.status_code = 200
        self._body = body

    def json(self) -> dict[str, object]:
        """Return the JSON object in the body; any other body holds no token."""
        try:
            document = json.loads(self._body)
        except (ValueError, RecursionError):
            return {}
        return document if isinstance(document, dict) else {}

    def token(self) -> object:
        document = self.json()
        return document.get("token") or document.get("access_token")


class _TokenSession:
    """The session of oras for token services: uses the transport, and raises errors."""

    def __init__(self, authority: Authenticator) -> None:
        self._authority = authority

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        params: Mapping[str, object],
        **_trust: object,
    ) -> _TokenResponse:
        """Request a token for oras; the transport checks certificates."""
        return self._ask("GET", url, headers, params=params)

    def post(self, url: str, form: Mapping[str, str]) -> _TokenResponse:
        """Request a token with a form."""
        return self._ask("POST", url, {"Accept": "application/json"}, data=form)

    def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, str] | None = None,
    ) -> _TokenResponse:
        authority = self._authority
        transport, host = authority.transport, urlsplit(url).netloc
        what = f"{authority.endpoint}: a token from {host}"
        sent = {**headers, "User-Agent": USER_AGENT}
        answers: list[bytes] = []

        def ask() -> requests.Response:
            response = transport.send(method, url, what, headers=sent, params=params, data=data)
            if response.status_code == 200:
                answers.append(transport.read(response, what, _LARGEST_TOKEN_ANSWER))
                return response
            body = transport.read(response, what, MAX_ERROR_SIZE)
            raise self._refusal(
                failure_from_response(response.status_code, response.headers, body, what, host)
            )

        try:
            authority.with_retries(ask)
        except RegistryFailure as failure:
            # Transient failures have been retried already.
            failure.transient = False
            raise
        return _TokenResponse(answers[-1])

    def _refusal(self, made: RegistryFailure) -> RegistryFailure:
        if made.status in (401, 403):
            return self._authority.access_denied(made)
        refused = registry_failure(
            registries.TOKEN_REFUSED,
            made.diagnostics[0].message,
            *made.diagnostics[0].hints,
            transient=made.transient,
        )
        refused.retry_after, refused.status = made.retry_after, made.status
        return refused
