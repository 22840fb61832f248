"""A user repairs the store from a registry, and removes published images."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.events import NullReporter
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.pictures import AMD64, ARM64, Painter
from support.registry_server import RegistryServer, registry_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.cli import Dolmen

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RegistryServer]:
    """Give an empty registry."""
    with registry_server(tmp_path / "registry") as made:
        yield made


@pytest.fixture
def store(dolmen: Dolmen, server: RegistryServer, tmp_path: Path) -> Store:
    """Give a store with an image of two platforms that the registry has, too."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    index = painter.index(painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64))
    store.put(server.name("app:1"), index)
    dolmen.run("cache", "push", server.name("app:1"), "--cache", store.root, check=True)
    return store


def test_repair_fetches_a_corrupt_blob(
    dolmen: Dolmen, server: RegistryServer, store: Store
) -> None:
    reference = Reference.parse(server.name("app:1"))
    for platform in (AMD64, ARM64):
        layer = store.path(find_image(store, reference, platform).manifest.layers[0].digest)
        layer.write_bytes(bytes(layer.stat().st_size))
    names = store.layout.index.read_bytes()
    done = dolmen.run("cache", "verify", "--repair", "--cache", store.root)
    assert done.returncode == 0, done.stderr
    assert f"fetched {reference} again" in done.stdout
    assert verify_store(store, NullReporter()).clean
    assert json.loads(store.layout.index.read_bytes()) == json.loads(names)


def test_repair_fetches_a_corrupt_index(
    dolmen: Dolmen, server: RegistryServer, store: Store
) -> None:
    path = store.path(store.names().entries[0].descriptor.digest)
    path.write_bytes(path.read_bytes()[:-1])
    assert dolmen.run("cache", "verify", "--cache", store.root).returncode == 1
    done = dolmen.run("cache", "verify", "--repair", "--cache", store.root)
    assert done.returncode == 0, done.stderr
    assert find_image(store, Reference.parse(server.name("app:1")), ARM64)


def test_only_published_images_are_removed(
    dolmen: Dolmen, server: RegistryServer, store: Store
) -> None:
    changed = Painter(store).image({"a": b"3"})
    dolmen.run("cache", "push", server.name("app:1"), "--remote-name", server.name("app:2"))
    store.put(server.name("app:2"), changed)
    store.put(server.name("app:3"), changed)
    done = dolmen.run("cache", "clean", "--published-only", "--cache", store.root)
    assert done.returncode == 0, done.stderr
    assert [e.name for e in store.names().entries] == [server.name("app:2"), server.name("app:3")]
    assert f"removed {server.name('app:1')}" in done.stdout
