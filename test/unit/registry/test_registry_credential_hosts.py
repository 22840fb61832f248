"""Credentials stay with the host they were given for: redirects, uploads, mirrors, plain http."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.events import NullReporter
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.image_push import PushOptions, push
from assembler.oci.reference import Reference
from assembler.oci.registry.auth import READING, Authenticator
from assembler.oci.registry.credentials import Credentials, CredentialSearch, parse_credentials
from assembler.oci.registry.endpoints import Endpoint, RequestSubject, is_loopback, parse_address
from assembler.oci.registry.failures import registry_failure
from assembler.oci.registry.options import RegistryOptions, RetryPolicy, parse_mirror
from assembler.oci.registry.retry import Retries
from assembler.oci.registry.transport import Transport
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry
from support.pictures import AMD64, Painter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci.store import Store

SECRET = "me:secret"
BLOBS = "GET .*/blobs/sha256"


@pytest.fixture
def stranger(remote: Store) -> Iterator[FaultyRegistry]:
    """Give a server that refuses everything but requests for tokens."""
    with faulty_registry(remote) as other:
        other.login = SECRET
        yield other


def knowing(registry: FaultyRegistry, **options: object) -> RegistryOptions:
    """Return options with the login of a registry."""
    login = parse_credentials(f"{registry.host}={SECRET}", "an option")
    return replace(QUICK, credentials=(login,), **options)  # type: ignore[arg-type]


def pulled(store: Store, name: str, options: RegistryOptions) -> None:
    pull(store, [Reference.parse(name)], PullOptions(options, (AMD64,)), NullReporter())


def refused(store: Store, name: str, options: RegistryOptions) -> str:
    """Return the text of a refused pull."""
    with pytest.raises(DolmenError) as caught:
        pulled(store, name, options)
    assert caught.value.diagnostics[0].code is codes.ACCESS_DENIED
    return str(caught.value)


def challenge(stranger: FaultyRegistry, scheme: str) -> dict[str, str]:
    """Return the header that asks for credentials, with a token service of the stranger."""
    if scheme == "Basic":
        return {"WWW-Authenticate": 'Basic realm="here"'}
    return {"WWW-Authenticate": f'Bearer realm="http://{stranger.host}/token",service="s"'}


def got_nothing(stranger: FaultyRegistry) -> bool:
    """Tell whether a server was asked, but neither for a token nor with credentials."""
    assert stranger.requests
    return not any(
        r.authorization or r.path == "/token" or b"secret" in r.body for r in stranger.requests
    )


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
@pytest.mark.parametrize("what", [BLOBS, "/manifests/"])
def test_the_target_of_a_redirect_gets_no_credentials(
    registry: FaultyRegistry,
    stranger: FaultyRegistry,
    store: Store,
    app: str,
    scheme: str,
    what: str,
) -> None:
    registry.login, registry.tokens = SECRET, True
    stranger.fail("GET", status=401, headers=challenge(stranger, scheme))
    target = f"http://{stranger.host}/v2/org/app/blobs/x"
    registry.fail(what, status=307, headers={"Location": target}, after=1)
    message = refused(store, app, knowing(registry))
    assert got_nothing(stranger)
    assert stranger.host in message
    assert "does not get the credentials" in message
    assert "docker login" not in message


def test_the_target_of_a_redirect_gets_no_identity_token(
    registry: FaultyRegistry, stranger: FaultyRegistry, store: Store, app: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {registry.host: {"identitytoken": "secret"}}}))
    stranger.fail("GET", status=401, headers=challenge(stranger, "Bearer"))
    registry.fail(BLOBS, status=307, headers={"Location": f"http://{stranger.host}/v2/x"})
    refused(store, app, replace(QUICK, config_files=(config,)))
    assert got_nothing(stranger)


def test_the_target_of_a_redirect_gets_no_credentials_of_its_own(
    registry: FaultyRegistry, stranger: FaultyRegistry, store: Store, app: str
) -> None:
    """The registry chose it: credentials for that host are not the registry's to use."""
    stranger.fail("GET", status=401, headers=challenge(stranger, "Basic"))
    registry.fail(BLOBS, status=307, headers={"Location": f"http://{stranger.host}/v2/x"})
    refused(store, app, knowing(stranger))
    assert got_nothing(stranger)


def test_a_redirect_of_a_mirror_gets_no_credentials(
    registry: FaultyRegistry, stranger: FaultyRegistry, store: Store, remote: Store, app: str
) -> None:
    with faulty_registry(remote) as mirror:
        mirror.tags, mirror.login = registry.tags, SECRET
        stranger.fail("GET", status=401, headers=challenge(stranger, "Bearer"))
        mirror.fail(BLOBS, status=307, headers={"Location": f"http://{stranger.host}/v2/x"})
        mirrors = (parse_mirror(f"http://{mirror.host}"),)
        pulled(store, app, knowing(mirror, mirrors=mirrors))
        assert any(r.authorization for r in mirror.requests)
    assert got_nothing(stranger)


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_an_upload_session_elsewhere_gets_no_credentials(
    registry: FaultyRegistry, stranger: FaultyRegistry, store: Store, scheme: str
) -> None:
    registry.login = SECRET
    name = f"{registry.host}/org/new:1"
    store.put(name, Painter(store, compression="").image({"a": b"a"}, AMD64))
    stranger.fail("PUT", status=401, headers=challenge(stranger, scheme))
    location = f"http://{stranger.host}/v2/org/new/blobs/uploads/x"
    registry.fail("POST", status=202, headers={"Location": location}, after=1)
    options = knowing(registry, retry_policy=RetryPolicy(attempts=1))
    with pytest.raises(DolmenError):
        push(store, [Reference.parse(name)], PushOptions(options))
    assert got_nothing(stranger)


def authenticator(endpoint: Endpoint, options: RegistryOptions = QUICK) -> Authenticator:
    """Return what answers challenges of an endpoint for which there are credentials."""
    found = CredentialSearch(Credentials("a test", "me", "secret"))
    transport, retries = Transport(options), Retries(options.retry_policy)
    return Authenticator(endpoint, options, transport, lambda _: found, retries.with_retries)


def answer(authority: Authenticator) -> str | None:
    return authority.answer_challenge("Basic realm=here", RequestSubject(), READING, None)


PLAIN_MIRROR = Endpoint("docker.io", "mirror.example", "http", is_mirror=True)


def test_plain_http_gets_no_credentials() -> None:
    authority = authenticator(PLAIN_MIRROR)
    assert answer(authority) is None
    refusal = registry_failure(codes.ACCESS_DENIED, "no")
    (told,) = authority.access_denied(refusal).diagnostics
    assert "the credentials from a test are not sent over plain http" in told.hints
    assert "if you trust the network between: --insecure mirror.example" in told.hints


@pytest.mark.parametrize(
    ("endpoint", "insecure"),
    [
        (PLAIN_MIRROR, {"mirror.example"}),
        (replace(PLAIN_MIRROR, scheme="https"), set()),
        (replace(PLAIN_MIRROR, host="127.0.0.1:5000"), set()),
    ],
)
def test_trusted_addresses_get_credentials(endpoint: Endpoint, insecure: set[str]) -> None:
    authority = authenticator(endpoint, replace(QUICK, insecure=frozenset(insecure)))
    assert answer(authority) == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize("host", ["evil.example\\.localhost", "evil.example .localhost"])
def test_hosts_that_parsers_read_differently_are_refused(host: str) -> None:
    """urllib3 ends a host at a backslash, and would connect to evil.example."""
    assert is_loopback(host)
    assert parse_address(f"http://{host}/token") is None
