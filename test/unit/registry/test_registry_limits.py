"""Slow and lying registries: limits of time, rate and room, each with one clear message."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import host, layers
from assembler.codes import registries as codes
from assembler.errors import DolmenError
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.manifest import Descriptor
from assembler.oci.reference import Reference
from assembler.oci.registry.credentials import parse_credentials
from assembler.oci.store import Store, find_image
from support.faulty_registry import QUICK, FaultyRegistry
from support.pictures import AMD64

if TYPE_CHECKING:
    from assembler.diagnostics import Diagnostic
    from assembler.oci.registry.options import RegistryOptions

MANIFESTS, BLOBS, TOKENS = "GET .*/manifests/", "GET .*/blobs/", "GET /token"
SHORT = replace(QUICK, document_seconds=0.4, min_rate=2000, rate_window=0.4, jobs=1)


def pulled(store: Store, name: str, options: RegistryOptions = SHORT) -> None:
    """Pull one image."""
    pull(store, [Reference.parse(name)], PullOptions(options, (AMD64,)))


def refused(store: Store, name: str, options: RegistryOptions = SHORT) -> Diagnostic:
    """Pull one image, in vain; return the only diagnostic."""
    with pytest.raises(DolmenError) as caught:
        pulled(store, name, options)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


def test_a_manifest_in_small_pieces(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS, drip_after=0)
    began = time.monotonic()
    diagnostic = refused(store, app)
    assert time.monotonic() - began < 5
    assert diagnostic.code is codes.STALLED
    assert "did not send all of it in 0.4 s" in diagnostic.message
    registry.forget()
    pulled(store, app)


def test_a_head_in_small_pieces(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(MANIFESTS, drip_head=True)
    began = time.monotonic()
    assert refused(store, app).code is codes.STALLED
    assert time.monotonic() - began < 5
    registry.forget()
    pulled(store, app)


def test_a_token_in_small_pieces(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.login, registry.tokens = "me:secret", True
    registry.fail(TOKENS, drip_after=0)
    began = time.monotonic()
    options = replace(SHORT, credentials=(parse_credentials(f"{registry.host}=me:secret", "x"),))
    diagnostic = refused(store, app, options)
    assert time.monotonic() - began < 5
    assert diagnostic.code is codes.STALLED
    assert "a token from" in diagnostic.message
    # Its retries are not repeated by those of the manifest.
    assert len(registry.asked(TOKENS)) == 3


def test_a_slow_blob_is_continued(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, drip_after=100_000, times=1)
    began = time.monotonic()
    pulled(store, app)
    assert time.monotonic() - began < 5
    ranges = [r.headers["range"] for r in registry.asked(BLOBS) if "range" in r.headers]
    assert len(ranges) == 1
    assert 100_000 <= int(ranges[0][len("bytes=") : -1]) < 100_100
    find_image(store, Reference.parse(app), AMD64)


def test_a_blob_that_stays_slow(registry: FaultyRegistry, store: Store, app: str) -> None:
    registry.fail(BLOBS, drip_after=0)
    began = time.monotonic()
    diagnostic = refused(store, app)
    assert time.monotonic() - began < 8
    assert diagnostic.code is codes.STALLED
    assert "sent less than 2000 bytes per second for 0.4 s" in diagnostic.message
    registry.forget()
    pulled(store, app)


@pytest.mark.usefixtures("app")
def test_an_image_that_does_not_fit(registry: FaultyRegistry, store: Store, remote: Store) -> None:
    """The announced size is compared with the free space before any blob is fetched."""
    root = registry.tags["org/app", "1.0"]
    index = json.loads(remote.path(root.digest).read_bytes())
    manifest = json.loads(remote.path(index["manifests"][0]["digest"]).read_bytes())
    manifest["layers"][0] |= {"size": 1 << 46, "digest": "sha256:" + "1" * 64}
    data = json.dumps(manifest).encode()
    large = remote.add_bytes(data, manifest["mediaType"])
    assert isinstance(large, Descriptor)
    name = registry.publish("org/large", "1", large)
    registry.forget()
    with pytest.raises(DolmenError) as caught:
        pull(store, [Reference.parse(name)], PullOptions(SHORT, (AMD64,), 1 << 60))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is host.DISK_FULL
    assert f"the store {store.root} has no room for 1 image: " in diagnostic.message
    assert "are needed" in diagnostic.message
    assert "--cache DIR" in diagnostic.hints[1]
    assert "dolmen cache clean" in diagnostic.hints[0]
    assert registry.asked(BLOBS) == []


def test_an_image_beyond_the_limit(registry: FaultyRegistry, store: Store, app: str) -> None:
    with pytest.raises(DolmenError) as caught:
        pull(store, [Reference.parse(app)], PullOptions(SHORT, (AMD64,), 100_000))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is layers.IMAGE_TOO_LARGE
    assert diagnostic.message == f"{app} is larger than 100 kB as stored"
    assert registry.asked(BLOBS) == []
    pull(store, [Reference.parse(app)], PullOptions(SHORT, (AMD64,), 400_000))
