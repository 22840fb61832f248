"""Whatever a registry does, nothing wrong gets into the store, and the next pull succeeds."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import Code
from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.events import NullReporter, Reporter
from assembler.oci.image_pull import PulledImage, PullOptions, pull
from assembler.oci.reference import Reference
from assembler.oci.registry.credentials import parse_credentials
from assembler.oci.registry.failures import failure_from_response
from assembler.oci.registry.options import RegistryOptions, RetryPolicy
from assembler.oci.store import Store, find_image, verify_store
from support.faulty_registry import QUICK, FaultyRegistry, faulty_registry
from support.pictures import AMD64

if TYPE_CHECKING:
    from assembler.oci.manifest import Descriptor
    from assembler.oci.platform import Platform

# The largest blob comes first then.
ONE_BY_ONE = replace(QUICK, jobs=1)
MANIFESTS, BLOBS = "GET .*/manifests/", "GET .*/blobs/"


def pulled(
    store: Store,
    name: str,
    options: RegistryOptions = QUICK,
    platforms: tuple[Platform, ...] = (AMD64,),
    reporter: Reporter | None = None,
) -> PulledImage:
    """Pull one image."""
    return pull(store, [Reference.parse(name)], PullOptions(options, platforms), reporter)[0]


def refused(store: Store, name: str, options: RegistryOptions = QUICK) -> DolmenError:
    """Pull one image, in vain, and see that the store is none the worse for it."""
    with pytest.raises(DolmenError) as caught:
        pulled(store, name, options)
    assert store.names().named(name) == ()
    assert verify_store(store, NullReporter()).clean
    return caught.value


def is_well_again(registry: FaultyRegistry, store: Store, name: str) -> None:
    """See that the next pull succeeds, and what the store is like then."""
    registry.forget()
    pulled(store, name)
    find_image(store, Reference.parse(name), AMD64)
    assert verify_store(store, NullReporter()).clean
    assert not list(store.layout.tmp.iterdir())


def says(error: DolmenError, code: Code, *words: str) -> None:
    """See that there is one diagnostic, of this code, with all these words."""
    assert [d.code for d in error.diagnostics] == [code], str(error)
    for word in words:
        assert re.search(word, str(error)), f"{word!r} is not in:\n{error}"


@pytest.mark.parametrize("where", [MANIFESTS, BLOBS])
def test_server_errors_are_retried_and_reported(
    registry: FaultyRegistry, store: Store, app: str, where: str
) -> None:
    fault = registry.fail(where, status=503, body=b'{"errors":[{"message":"on fire"}]}')
    says(refused(store, app), codes.SERVER_ERROR, "503", "on fire", "--mirror")
    assert 10**9 - fault.times >= 3
    is_well_again(registry, store, app)


def test_a_temporary_server_error_is_retried(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(MANIFESTS, status=500, times=2)
    registry.fail(BLOBS, status=502, times=2)
    pulled(store, app)
    is_well_again(registry, store, app)


def test_permanent_errors_are_not_retried(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS, status=400, body=b'{"errors":[{"message":"no"}]}')
    refused(store, app)
    assert len(registry.asked(MANIFESTS)) == 1


def test_a_missing_tag(registry: FaultyRegistry, store: Store, app: str) -> None:
    error = refused(store, app.replace("1.0", "1.1"))
    says(error, codes.NOT_FOUND, "org/app:1.1", "not found", r"tags there are.*1\.0")
    assert len(registry.asked("manifests")) == 1
    is_well_again(registry, store, app)


def test_a_missing_blob(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, status=404)
    with pytest.raises(DolmenError) as caught:
        pulled(store, app)
    assert {d.code for d in caught.value.diagnostics} == {codes.NOT_FOUND}
    assert store.names().named(app) == ()
    is_well_again(registry, store, app)


def test_too_many_requests_waits_for_retry_after(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(MANIFESTS, status=429, headers={"Retry-After": "1"}, times=1)
    began = time.monotonic()
    pulled(store, app)
    assert time.monotonic() - began >= 1.0


def test_too_many_requests_with_a_long_retry_after_fails(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(MANIFESTS, status=429, headers={"Retry-After": "3600"})
    says(refused(store, app), codes.TOO_MANY_REQUESTS, "3600 s")
    assert len(registry.asked(MANIFESTS)) == 1
    is_well_again(registry, store, app)


@pytest.mark.parametrize("body", [b"<html><body>Please log in</body></html>", b"", b"\xff\x00" * 9])
def test_garbage_instead_of_a_manifest(
    registry: FaultyRegistry, store: Store, app: str, body: bytes
) -> None:
    registry.fail(MANIFESTS, status=200, body=body, headers={"Content-Type": "text/html"})
    says(refused(store, app), codes.NOT_A_REGISTRY, "address of a registry")
    is_well_again(registry, store, app)


def test_a_manifest_with_another_digest(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS + "sha256", corrupt=True)
    says(refused(store, app), codes.WRONG_CONTENT, "its digest is")
    is_well_again(registry, store, app)


@pytest.mark.parametrize("length", [-10, 10])
def test_a_blob_of_the_wrong_length(
    registry: FaultyRegistry, store: Store, app: str, length: int
) -> None:
    registry.fail(BLOBS, longer=length)
    with pytest.raises(DolmenError) as caught:
        pulled(store, app)
    assert {d.code for d in caught.value.diagnostics} == {codes.WRONG_CONTENT}
    assert "are expected" in str(caught.value)
    is_well_again(registry, store, app)


def test_a_blob_that_ends_before_its_length(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    # Says the right length, sends less, and nothing at all when asked for the rest.
    registry.fail(BLOBS, longer=-400, honest=False, times=2)
    pulled(store, app)
    is_well_again(registry, store, app)


def test_a_corrupt_blob(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, corrupt=True)
    with pytest.raises(DolmenError) as caught:
        pulled(store, app)
    assert {d.code for d in caught.value.diagnostics} == {codes.WRONG_CONTENT}
    assert all(p.stat().st_size < 10_000 for p in store.layout.tmp.iterdir())
    is_well_again(registry, store, app)


def test_an_interrupted_download_resumes(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, cut_after=100_000, times=1)
    pulled(store, app, ONE_BY_ONE)
    ranges = [r.headers["range"] for r in registry.asked(BLOBS) if "range" in r.headers]
    assert ranges == ["bytes=100000-"]


def test_an_interrupted_download_resumes_in_another_run(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(BLOBS, cut_after=200_000, times=1)
    once = replace(ONE_BY_ONE, retry_policy=RetryPolicy(attempts=1))
    says(refused(store, app, once), codes.UNREACHABLE, "broke", "has arrived is kept")
    registry.forget()
    pulled(store, app)
    ranges = [r.headers["range"] for r in registry.asked(BLOBS) if "range" in r.headers]
    assert ranges == ["bytes=200000-"]


def test_a_server_without_range_requests(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, cut_after=100_000, times=1)
    registry.fail(BLOBS, no_ranges=True)
    pulled(store, app, ONE_BY_ONE)
    is_well_again(registry, store, app)


def test_a_server_that_sends_another_range(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(BLOBS, cut_after=100_000, times=1)
    registry.fail(
        BLOBS, only_with_range=True, status=206, headers={"Content-Range": "bytes 5-9/10"}
    )
    says(refused(store, app, ONE_BY_ONE), codes.WRONG_CONTENT, "another part")
    is_well_again(registry, store, app)


def test_a_corrupt_partial_download_is_fetched_again(
    registry: FaultyRegistry, store: Store, app: str
) -> None:
    registry.fail(BLOBS, corrupt=True, longer=-5, honest=False, times=1)
    pulled(store, app)
    is_well_again(registry, store, app)


def test_a_connection_that_always_breaks(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS, cut_after=10)
    says(refused(store, app), codes.UNREACHABLE, "broke")
    is_well_again(registry, store, app)


@pytest.mark.parametrize(("where", "sent"), [(MANIFESTS, 0), (BLOBS, 1000)])
def test_a_stall_ends(
    registry: FaultyRegistry, store: Store, app: str, where: str, sent: int
) -> None:
    registry.fail(where, stall_after=sent, stall_seconds=3)
    began = time.monotonic()
    with pytest.raises(DolmenError) as caught:
        pulled(store, app, replace(QUICK, stall_timeout=0.2))
    assert time.monotonic() - began < 2.5
    assert {d.code for d in caught.value.diagnostics} == {codes.STALLED}
    assert "sent nothing for 0.2 s" in str(caught.value)
    is_well_again(registry, store, app)


def test_no_connection(store: Store) -> None:
    says(refused(store, "127.0.0.1:1/app:1"), codes.UNREACHABLE, "connection refused", "running")


def test_an_unknown_host(store: Store) -> None:
    error = refused(store, "registry.invalid/app:1")
    says(
        error, codes.UNKNOWN_HOST, "there is no host registry.invalid", "check the registry's name"
    )


def test_redirects_in_circles(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS, status=307, headers={"Location": "/v2/org/app/manifests/1.0"})
    says(refused(store, app), codes.BAD_REDIRECT, "again and again")
    is_well_again(registry, store, app)


@pytest.mark.parametrize(
    "target",
    ["http://mirror.invalid/blob", "ftp://127.0.0.1/blob", "http://", "file:///etc/passwd"],
)
def test_redirects_to_unsupported_addresses(
    registry: FaultyRegistry, store: Store, app: str, target: str
) -> None:
    registry.fail(MANIFESTS, status=302, headers={"Location": target})
    says(refused(store, app), codes.BAD_REDIRECT)
    is_well_again(registry, store, app)


def test_credentials_do_not_follow_a_redirect(
    registry: FaultyRegistry, remote: Store, store: Store, app: str
) -> None:
    registry.login = "me:secret"
    options = logged_in(registry)
    with faulty_registry(remote) as other:
        other.tags = registry.tags
        something = registry.tags["org/app", "1.0"].digest
        target = f"http://me:secret@{other.host}/v2/x/blobs/{something}"
        registry.fail(BLOBS, status=307, headers={"Location": target}, times=1)
        with pytest.raises(DolmenError):  # it is not the blob that was asked for
            pulled(store, app, options)
        assert other.requests
        assert all("authorization" not in r.headers for r in other.requests)
        assert any(r.authorization for r in registry.requests)


def test_a_blob_at_another_host(
    registry: FaultyRegistry, remote: Store, store: Store, app: str
) -> None:
    registry.login = "me:secret"
    with faulty_registry(remote) as other:
        for digest in (d.digest for d in layers_of(remote, app)):
            target = f"http://{other.host}/v2/org/app/blobs/{digest}?token=hidden"
            registry.fail(f"GET .*/blobs/{digest}", status=307, headers={"Location": target})
        pulled(store, app, logged_in(registry))
        assert len(other.asked(BLOBS)) == 2
        assert all("authorization" not in r.headers for r in other.requests)


def test_one_image_of_several(registry: FaultyRegistry, store: Store, app: str) -> None:
    other = registry.publish("org/other", "1", registry.tags["org/app", "1.0"])
    gone = f"{registry.host}/org/gone:1"
    with pytest.raises(DolmenError) as caught:
        pull(store, [Reference.parse(n) for n in (app, gone, other)], PullOptions(QUICK))
    says(caught.value, codes.NOT_FOUND, "org/gone:1")
    assert {e.name for e in store.names().entries} == {app, other}
    assert verify_store(store, NullReporter()).clean


def logged_in(registry: FaultyRegistry) -> RegistryOptions:
    """Return options with the registry's login."""
    return replace(
        QUICK, credentials=(parse_credentials(f"{registry.host}={registry.login}", "a test"),)
    )


def layers_of(remote: Store, name: str) -> list[Descriptor]:
    """Return the layers of an image of the registry."""
    return list(find_image(remote, Reference.parse(name), AMD64).manifest.layers)


def test_through_a_proxy(
    registry: FaultyRegistry, store: Store, app: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://me:hidden@{registry.host}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    name = app.replace(registry.host, "registry.invalid:5000")
    pulled(store, name, replace(QUICK, insecure=frozenset({"registry.invalid"})))
    assert {r.headers["host"] for r in registry.requests} == {"registry.invalid:5000"}
    registry.fail("/v2/", status=502)
    monkeypatch.setenv("HTTP_PROXY", "http://me:hidden@127.0.0.1:1")
    error = refused(store, name + "x", replace(QUICK, insecure=frozenset({"registry.invalid"})))
    says(error, codes.UNREACHABLE, "proxy")
    assert "hidden" not in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("Fri, 21 Nov 2025 10:00:30 GMT", 30.0),
        ("Fri, 21 Nov 2025 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_the_values_of_retry_after(value: str, seconds: float | None) -> None:
    headers = {"Retry-After": value, "Date": "Fri, 21 Nov 2025 10:00:00 GMT"}
    assert failure_from_response(429, headers, b"", "an image", "a host").retry_after == seconds
