"""Images of the local Docker daemon, here a server of our own that speaks its API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.errors import ImageError
from assembler.events import NullReporter, Reporter
from assembler.oci.docker_daemon import import_from_daemon
from assembler.oci.image_sources import ImageSources
from assembler.oci.reference import Reference
from assembler.oci.resolution import resolve_images
from assembler.oci.store import Store, find_image
from support.docker_daemon import Daemon, docker_daemon
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from assembler.oci.platform import Platform

X, Y = Reference.parse("x:1"), Reference.parse("y:1")


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """Serve the daemon's API on a socket that DOCKER_HOST names."""
    path = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with docker_daemon(path) as daemon:
        yield daemon


@pytest.fixture
def source(tmp_path: Path) -> Store:
    """Give a store with the images x:1 and y:1, whose content the daemon will have."""
    store = Store(tmp_path / "source")
    painter = Painter(store)
    store.put(X, painter.image([{"a": b"1"}, {"b": b"2"}]))
    store.put(Y, painter.image({"a": b"arm"}, ARM64))
    return store


def test_an_image_of_the_daemon_is_used(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    assert import_from_daemon(store, [X, Y], AMD64, NullReporter()) == [X]
    assert find_image(store, X, AMD64).config == find_image(source, X, AMD64).config
    assert len(find_image(store, X, AMD64).manifest.layers) == 2


def test_an_existing_image_is_not_exported_again(
    daemon: Daemon, source: Store, store: Store
) -> None:
    daemon.has(source, X, AMD64)
    import_from_daemon(store, [X], AMD64, NullReporter())
    daemon.asked.clear()
    assert import_from_daemon(store, [X], AMD64, NullReporter()) == [X]
    assert not [path for path in daemon.asked if path.endswith("/get")]


def test_an_image_for_another_machine_is_not_used(
    daemon: Daemon, source: Store, store: Store
) -> None:
    daemon.has(source, Y, ARM64)
    assert import_from_daemon(store, [Y], AMD64, NullReporter()) == []
    assert store.names().entries == ()


def test_references_with_a_digest_do_not_use_the_daemon(
    daemon: Daemon, source: Store, store: Store
) -> None:
    daemon.has(source, X, AMD64)
    pinned = Reference.parse(f"x@{find_image(source, X, AMD64).digest}")
    assert import_from_daemon(store, [pinned], AMD64, NullReporter()) == []
    assert not [path for path in daemon.asked if "/images/" in path]


def test_the_daemon_comes_before_store_and_registry(
    daemon: Daemon, source: Store, store: Store
) -> None:
    store.put(X, Painter(store).image({"a": b"older"}))
    daemon.has(source, X, AMD64)
    fetched: list[Reference] = []

    def fetch(_: Store, references: Sequence[Reference], __: Platform, ___: Reporter) -> None:
        fetched.extend(references)

    sources = ImageSources(store=store.root, docker=True, fetch=fetch)
    found = resolve_images({X: None}, AMD64, sources, NullReporter())
    assert found[X].config == find_image(source, X, AMD64).config
    assert fetched == []
    with pytest.raises(ImageError, match="y:1 is not in the store"):
        resolve_images({X: None, Y: None}, AMD64, sources, NullReporter())
    assert fetched == [Y]


def test_a_stream_that_is_cut_leaves_nothing(daemon: Daemon, source: Store, store: Store) -> None:
    daemon.has(source, X, AMD64)
    daemon.cut = True
    with pytest.raises(ImageError):
        import_from_daemon(store, [X], AMD64, NullReporter())
    assert list(store.layout.blobs.iterdir()) == []
    daemon.cut = False
    assert import_from_daemon(store, [X], AMD64, NullReporter()) == [X]


@pytest.mark.parametrize("host", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1", "nonsense:"])
def test_no_daemon(store: Store, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(ImageError) as caught:
        import_from_daemon(store, [X], AMD64, NullReporter())
    assert caught.value.diagnostics[0].code is images.DAEMON_UNAVAILABLE
    assert "docker info" in str(caught.value)
    assert "0x" not in str(caught.value)
