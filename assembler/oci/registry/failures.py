"""Failures of registries: diagnostics, and whether a retry may help."""

from __future__ import annotations

import datetime as dt
import email.utils
import json
import socket
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.codes import registries
from assembler.errors import RegistryError
from assembler.oci.registry.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.codes import Code
    from assembler.diagnostics import Diagnostic

_TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})
_LONGEST_EXCERPT = 300


class RegistryFailure(RegistryError):  # noqa: N818 - the family's names are not all ...Error
    """A registry's error, which a retry or another endpoint may avoid."""

    def __init__(
        self,
        diagnostics: Sequence[Diagnostic],
        *,
        transient: bool = False,
        connection_broken: bool = False,
        unreachable_host: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        """Hold the diagnostics, and the facts that decide about a retry."""
        super().__init__(diagnostics)
        self.transient = transient
        # There was a connection, but it broke.
        self.connection_broken = connection_broken
        # There was no connection to this host.
        self.unreachable_host = unreachable_host
        self.status = status
        self.retry_after = retry_after

    def with_hints(self, *hints: str) -> RegistryFailure:
        """Return the same failure with more hints."""
        first, *others = self.diagnostics
        return RegistryFailure(
            [replace(first, hints=(*first.hints, *hints)), *others],
            transient=self.transient,
            connection_broken=self.connection_broken,
            unreachable_host=self.unreachable_host,
            status=self.status,
            retry_after=self.retry_after,
        )

    @property
    def code(self) -> Code:
        """Return the code of the failure."""
        return self.diagnostics[0].code

    @property
    def is_down(self) -> bool:
        """Tell whether the host does not answer at all."""
        return self.code in (
            registries.UNREACHABLE,
            registries.UNKNOWN_HOST,
            registries.TLS_REFUSED,
            registries.STALLED,
        )


def registry_failure(
    code: Code, message: str, *hints: str, transient: bool = False
) -> RegistryFailure:
    """Make a failure of a single diagnostic."""
    failure = RegistryFailure.of(code, message, *hints)
    failure.transient = transient
    return failure


def failure_from_exception(
    error: BaseException, what: str, host: str, stall: float
) -> RegistryFailure:
    """Turn a network exception into a failure; `what` was requested from `host`."""
    causes = tuple(_causes(error))
    names = {type(c).__name__ for c in causes}
    refused = next((c for c in causes if isinstance(c, ssl.SSLError)), None)
    if isinstance(refused, ssl.SSLCertVerificationError):
        reason = refused.verify_message or "it is not trusted"
        return registry_failure(
            registries.TLS_REFUSED,
            f"{what}: the certificate of {host} is not trusted: {reason}",
            *_certificate_hints(reason, host),
        )
    if refused is not None:
        reason = (refused.reason or str(refused)).lower().replace("_", " ")
        return registry_failure(
            registries.TLS_REFUSED,
            f"{what}: no TLS connection to {host}: {reason}",
            f"if it supports only plain http: --insecure {host}",
        )
    if names & {"NameResolutionError"} or any(isinstance(c, socket.gaierror) for c in causes):
        unknown = registry_failure(
            registries.UNKNOWN_HOST,
            f"{what}: there is no host {host.partition(':')[0]}",
            "check the registry's name, and the network of this machine",
            transient=any(getattr(c, "errno", None) == socket.EAI_AGAIN for c in causes),
        )
        unknown.unreachable_host = host
        return unknown
    if names & {"ReadTimeoutError", "ReadTimeout", "TimeoutError"} and "ConnectTimeout" not in (
        names
    ):
        return registry_failure(
            registries.STALLED,
            f"{what}: {host} sent nothing for {stall:g} s",
            "try again: what has arrived is kept",
            transient=True,
        )
    if "ProxyError" in names:
        return registry_failure(
            registries.UNREACHABLE,
            f"{what}: the proxy does not lead to {host}: {_reason(causes)}",
            "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY",
            transient=True,
        )
    cut = names & {"IncompleteRead", "ProtocolError", "RemoteDisconnected", "ConnectionResetError"}
    doing = "the connection to {} broke" if cut else "cannot connect to {}"
    failure = registry_failure(
        registries.UNREACHABLE,
        f"{what}: {doing.format(host)}: {_reason(causes)}",
        "try again: what has arrived is kept" if cut else "is the registry running there?",
        # A host that did not answer for the whole timeout does not do so a second later.
        transient="ConnectTimeout" not in names,
    )
    failure.connection_broken = bool(cut)
    failure.unreachable_host = "" if cut else host
    return failure


def failure_from_response(
    status: int, headers: Mapping[str, str], body: bytes, what: str, host: str
) -> RegistryFailure:
    """Turn an unsuccessful response into a failure."""
    message = _error_message(body)
    suffix = f": {message}" if message else ""
    retry_after = _retry_after(headers)
    if status in (401, 403):
        failure = registry_failure(
            registries.ACCESS_DENIED, f"{what}: {host} does not allow it ({status}){suffix}"
        )
    elif status == 404:
        failure = registry_failure(registries.NOT_FOUND, f"{what}: not found on {host}{suffix}")
    elif status == 429:
        wait = f"; it asks to come back in {retry_after:.0f} s" if retry_after else ""
        failure = registry_failure(
            registries.TOO_MANY_REQUESTS,
            f"{what}: {host} was asked too often{suffix}{wait}",
            "log in, if you have not: registries allow more then",
            "or pull through a mirror: --mirror URL",
        )
    elif status >= 500:
        failure = registry_failure(
            registries.SERVER_ERROR,
            f"{what}: {host} has failed ({status}){suffix}",
            "try again later, or pull through a mirror: --mirror URL",
        )
    elif 300 <= status < 400:
        failure = registry_failure(
            registries.BAD_REDIRECT, f"{what}: {host} redirects to nowhere ({status})"
        )
    else:
        failure = registry_failure(
            registries.PUSH_REFUSED, f"{what}: {host} refused ({status}){suffix}"
        )
        if b"<html" in body[:1000].lower() or not message:
            failure = registry_failure(
                registries.NOT_A_REGISTRY,
                f"{what}: {host} does not answer like a registry ({status}){suffix}",
            )
    failure.status = status
    failure.retry_after = retry_after
    failure.transient = status in _TRANSIENT_STATUSES
    return failure


def too_slow(what: str, host: str, how: str) -> RegistryFailure:
    """Return the failure that a host sends too slowly."""
    return registry_failure(
        registries.STALLED,
        f"{what}: {host} {how}",
        "try again: what has arrived is kept",
        transient=True,
    )


def not_a_registry(what: str, host: str, body: bytes) -> RegistryFailure:
    """Return the failure that a host is not a registry; `body` starts its response."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return registry_failure(
        registries.NOT_A_REGISTRY,
        f"{what}: what {host} sent is no manifest: {redacted(text[:80])!r}",
        "is that the address of a registry? A login page of the network looks like this, too",
    )


def wrong_content(what: str, host: str, why: str) -> RegistryFailure:
    """Return the failure that a registry sent other content than requested."""
    return registry_failure(
        registries.WRONG_CONTENT,
        f"{what}: {host} sent something else: {why}",
        "nothing of it was kept; the copy there, or at a proxy on the way, is damaged",
    )


def _certificate_hints(why: str, host: str) -> tuple[str, ...]:
    if "ostname" in why or "IP address" in why:
        return ("the certificate belongs to another name: is the registry's name right?",)
    if "expired" in why or "not yet valid" in why:
        return ("is the clock of this machine right? If so, the registry needs a new one",)
    return (
        "give the certificate of its authority with --cert-file CA.pem",
        f"or ignore its certificate: --insecure {host}",
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and all its causes, each once."""
    seen: set[int] = set()
    todo = [error]
    while todo:
        current = todo.pop(0)
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        inner = [a for a in current.args if isinstance(a, BaseException)]
        reason = getattr(current, "reason", None)
        if isinstance(reason, BaseException):
            inner.append(reason)
        todo += [*inner, current.__cause__, current.__context__]


def _reason(causes: Sequence[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    return redacted(str(causes[-1]))[:_LONGEST_EXCERPT] or type(causes[-1]).__name__


def _error_message(body: bytes) -> str:
    """Return a registry's own message, bounded and safe for terminals."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    messages: list[str] = []
    errors = document.get("errors") if isinstance(document, dict) else None
    for error in errors if isinstance(errors, list) else [document]:
        if isinstance(error, dict):
            words = error.get("message") or error.get("details") or error.get("code") or ""
            messages.append(" ".join(str(words).split()))
    text = "; ".join(dict.fromkeys(f for f in messages if f))
    return redacted(text)[:_LONGEST_EXCERPT]


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a registry asks to wait: a number, or a date by its own clock."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdecimal():
        return float(value)
    try:
        until = email.utils.parsedate_to_datetime(value)
        date = headers.get("Date")
        now = email.utils.parsedate_to_datetime(date) if date else dt.datetime.now(dt.UTC)
        return max(0.0, (until - now).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None
