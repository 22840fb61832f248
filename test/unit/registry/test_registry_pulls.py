"""What a pull fetches and what not, what it tells, and what it leaves in the store."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.errors import DolmenError, HostError
from assembler.events import EventRecorder, NullReporter, TaskAdvanced, TaskEnded, TaskStarted
from assembler.oci import media_types
from assembler.oci.image_pull import PullOptions, pull
from assembler.oci.image_sources import ImageSources
from assembler.oci.manifest import Descriptor
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, read_attestations, verify_store
from support.faulty_registry import QUICK, FaultyRegistry, noise
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path

BLOBS = "GET .*/blobs/"


def pull_all(store: Store, *names: str, platforms: tuple[Platform, ...] = ()) -> EventRecorder:
    """Pull images and return what was told."""
    recorder = EventRecorder()
    pull(store, [Reference.parse(n) for n in names], PullOptions(QUICK, platforms), recorder)
    return recorder


def paths(registry: FaultyRegistry, pattern: str = "") -> Counter[str]:
    """Return how often each path was asked for."""
    return Counter(r.path for r in registry.asked(pattern))


def test_shared_layers_are_fetched_once(
    registry: FaultyRegistry, painter: Painter, store: Store
) -> None:
    base = {"base": noise(0, 50_000)}
    names = [
        registry.publish(f"org/app{n}", "1", painter.image([base, {"own": noise(n, 20_000)}]))
        for n in range(1, 5)
    ]
    pull_all(store, *names)
    assert set(paths(registry).values()) == {1}
    assert len(paths(registry, BLOBS)) == 1 + 4 + 4
    assert {e.name for e in store.names().entries} == set(names)
    assert verify_store(store, NullReporter()).clean


def test_existing_blobs_are_not_fetched(registry: FaultyRegistry, app: str, store: Store) -> None:
    pull_all(store, app, platforms=(AMD64,))
    registry.forget()
    pull_all(store, app)
    # Only the other manifest, its config and its own layer.
    assert len(paths(registry, "manifests")) == 2
    assert len(paths(registry, BLOBS)) == 2
    registry.forget()
    pull_all(store, app)
    assert [r.path for r in registry.requests if r.path != "/v2/"] == ["/v2/org/app/manifests/1.0"]


def test_a_corrupt_blob_in_the_store_is_fetched_again(
    registry: FaultyRegistry, app: str, store: Store
) -> None:
    pull_all(store, app)
    layer = find_image(store, Reference.parse(app), AMD64).manifest.layers[1]
    store.quarantine(layer.digest)
    registry.forget()
    pull_all(store, app)
    assert list(paths(registry, BLOBS)) == [f"/v2/org/app/blobs/{layer.digest}"]
    assert verify_store(store, NullReporter()).clean


def test_a_build_fetches_its_platform_and_attestations(
    registry: FaultyRegistry, painter: Painter, store: Store
) -> None:
    ours, theirs = painter.image({"a": b"1"}, AMD64), painter.image({"a": b"2"}, ARM64)
    about = [
        replace(
            painter.image({"sbom": digest.encode()}, Platform("unknown", "unknown")),
            annotations={
                media_types.ATTESTATION: media_types.ATTESTATION_MANIFEST,
                media_types.ATTESTED_DIGEST: digest,
            },
        )
        for digest in (ours.digest, theirs.digest)
    ]
    name = registry.publish("org/app", "1", painter.index(ours, theirs, *about))
    reference = Reference.parse(name)
    fetch = ImageSources(store=store.root, registries=QUICK).fetcher()
    assert fetch is not None
    fetch(store, [reference], AMD64, NullReporter())
    assert store.has(ours)
    assert store.has(about[0])
    assert not store.has(theirs)
    assert not store.has(about[1])
    assert len(read_attestations(store, find_image(store, reference, AMD64))) == 1
    assert verify_store(store, NullReporter()).clean


def test_the_best_of_several_variants(
    registry: FaultyRegistry, painter: Painter, store: Store
) -> None:
    made = {
        v: painter.image({"v": v.encode()}, Platform("linux", "arm", v)) for v in ("v5", "v6", "v7")
    }
    name = registry.publish("org/app", "1", painter.index(*made.values()))
    pull_all(store, name, platforms=(Platform("linux", "arm", "v6"),))
    assert [v for v, d in made.items() if store.has(d)] == ["v6"]


def test_an_index_of_indexes(registry: FaultyRegistry, painter: Painter, store: Store) -> None:
    inner = painter.index(painter.image({"a": b"1"}, AMD64))
    name = registry.publish("org/app", "1", painter.index(inner, painter.image({"a": b"2"}, ARM64)))
    pull_all(store, name)
    for platform in (AMD64, ARM64):
        find_image(store, Reference.parse(name), platform)


def test_a_too_deeply_nested_index(
    registry: FaultyRegistry, painter: Painter, store: Store
) -> None:
    top = painter.image({"a": b"1"})
    for _ in range(12):
        top = painter.index(top)
    name = registry.publish("org/app", "1", top)
    with pytest.raises(DolmenError) as caught:
        pull_all(store, name)
    assert caught.value.diagnostics[0].code is images.BAD_MANIFEST


def test_an_index_with_too_many_entries(
    registry: FaultyRegistry, painter: Painter, store: Store
) -> None:
    many = [
        Descriptor(media_types.OCI_MANIFEST, f"sha256:{n:064}", 100, AMD64) for n in range(2000)
    ]
    name = registry.publish("org/app", "1", painter.index(*many))
    with pytest.raises(DolmenError) as caught:
        pull_all(store, name)
    assert "more than" in str(caught.value)
    assert len(registry.asked("manifests")) == 1


def test_images_with_different_sizes_of_a_blob(
    registry: FaultyRegistry, painter: Painter, store: Store, remote: Store
) -> None:
    good = painter.image({"a": noise(1, 5000)})
    document = json.loads(remote.path(good.digest).read_bytes())
    document["layers"][0]["size"] += 7
    bad = remote.add_bytes(json.dumps(document).encode(), media_types.OCI_MANIFEST)
    names = [registry.publish("org/good", "1", good), registry.publish("org/bad", "1", bad)]
    with pytest.raises(DolmenError) as caught:
        pull_all(store, *names)
    assert "org/bad" in str(caught.value)
    assert {e.name for e in store.names().entries} == {names[0]}
    assert verify_store(store, NullReporter()).clean


@pytest.mark.parametrize(
    "media_type",
    [media_types.OCI_LAYER_ZSTD, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
)
def test_addresses_in_manifests_are_not_followed(
    registry: FaultyRegistry, painter: Painter, store: Store, remote: Store, media_type: str
) -> None:
    document = json.loads(remote.path(painter.image({"a": b"1"}).digest).read_bytes())
    document["layers"][0] |= {
        "digest": "sha256:" + "0" * 64,
        "mediaType": media_type,
        "urls": [f"http://{registry.host}/elsewhere"],
    }
    top = remote.add_bytes(json.dumps(document).encode(), media_types.OCI_MANIFEST)
    name = registry.publish("org/app", "1", top)
    with pytest.raises(DolmenError) as caught:
        pull_all(store, name)
    assert not registry.asked("elsewhere")
    assert ("URLs in manifests are not followed" in str(caught.value)) == ("foreign" in media_type)


def test_a_reference_by_digest(registry: FaultyRegistry, app: str, store: Store) -> None:
    digest = registry.tags["org/app", "1.0"].digest
    pinned = f"{app}@{digest}"
    pull_all(store, pinned)
    find_image(store, Reference.parse(pinned), AMD64)
    assert registry.asked(f"manifests/{digest}")
    other = pinned.replace("1.0@", "2.0@")
    pull_all(store, other)
    find_image(store, Reference.parse(other), AMD64)


def test_a_tag_that_has_moved(registry: FaultyRegistry, painter: Painter, store: Store) -> None:
    name = registry.publish("org/app", "1", painter.image({"a": b"1"}))
    pull_all(store, name)
    new = painter.image({"a": b"2"})
    registry.publish("org/app", "1", new)
    pull_all(store, name)
    assert find_image(store, Reference.parse(name), AMD64).digest == new.digest
    assert len(store.names().named(name)) == 1


def test_the_events_of_a_pull(registry: FaultyRegistry, app: str, store: Store) -> None:
    recorder = pull_all(store, app)
    started = {e.task: e for e in recorder.events if isinstance(e, TaskStarted)}
    ended = {e.task: e.outcome for e in recorder.events if isinstance(e, TaskEnded)}
    assert started.keys() == ended.keys()
    done = {e.task: e.done for e in recorder.events if isinstance(e, TaskAdvanced)}
    assert all(done[t] == e.total for t, e in started.items())
    (summary,) = [t for t, e in started.items() if e.title == "pull of 1 image"]
    assert ended[summary] == f"complete, from {registry.host}"
    assert done[summary] == sum(n for t, n in done.items() if t != summary)


def test_the_events_of_an_interrupted_download(
    registry: FaultyRegistry, app: str, store: Store
) -> None:
    registry.fail(BLOBS, cut_after=100_000, times=1)
    recorder = pull_all(store, app)
    lasts = {e.task: e.done for e in recorder.events if isinstance(e, TaskAdvanced)}
    totals = {e.task: e.total for e in recorder.events if isinstance(e, TaskStarted)}
    assert lasts == totals


def test_a_store_that_cannot_be_written_to(app: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError):
        pull_all(Store(tmp_path / "file" / "store"), app)


def test_an_interrupt_does_not_wait_for_the_registry(
    registry: FaultyRegistry, app: str, store: Store
) -> None:
    registry.fail(BLOBS, stall_after=1000, stall_seconds=8)

    class Impatient:
        def emit(self, event: object) -> None:
            if isinstance(event, TaskAdvanced) and event.done:
                raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        pull(
            store,
            [Reference.parse(app)],
            PullOptions(replace(QUICK, stall_timeout=30.0)),
            Impatient(),
        )
    assert time.monotonic() - began < 6
    assert store.names().entries == ()
    registry.forget()
    pull_all(store, app)
