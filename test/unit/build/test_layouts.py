"""Volumes that hold images as data need them whole, for all platforms that were asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.build.layouts import layouts
from assembler.codes import images
from assembler.diagnostics import Place, SourceText
from assembler.errors import ImageError
from assembler.events import NullReporter
from assembler.oci import ImageSources, Platform, Reference, Store
from assembler.rootfs import ImageRole, RequiredImage
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.oci.manifest import Descriptor

NAME = Reference.parse("docker.io/test/data:1")
PLACE = Place(SourceText("image.yml", "volumes:"), 1, 1)


def found(
    store: Store, *platforms: Platform, role: ImageRole = ImageRole.LAYOUT
) -> dict[Reference, Descriptor]:
    need = RequiredImage(NAME, role, PLACE, platforms)
    return layouts([need], ImageSources(store=store.root, offline=True), NullReporter())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give an empty store."""
    return Store(tmp_path / "store")


def test_an_index_is_taken_whole(store: Store) -> None:
    paint = Painter(store)
    amd, arm = paint.image({"a": b"1"}), paint.image({"a": b"2"}, ARM64)
    index = paint.index(amd, arm)
    store.put(str(NAME), index)
    for platforms in ((), (AMD64,), (ARM64,), (AMD64, ARM64)):
        assert found(store, *platforms)[NAME].digest == index.digest
    # Images of other uses are looked up elsewhere.
    assert found(store, role=ImageRole.INIT) == {}


def refused(store: Store, *platforms: Platform) -> str:
    with pytest.raises(ImageError) as caught:
        found(store, *platforms)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code is images.NOT_IN_STORE
    assert diagnostic.place == PLACE
    assert diagnostic.hints == (f"`dolmen cache pull {NAME}` fetches all of it",)
    return diagnostic.message


def test_a_part_that_is_missing_matters_for_its_platform_alone(store: Store) -> None:
    paint = Painter(store)
    amd, arm = paint.image({"a": b"1"}), paint.image({"a": b"2"}, ARM64)
    index = paint.index(amd, arm)
    store.put(str(NAME), index)
    store.path(arm.digest).unlink()
    assert found(store, AMD64)[NAME].digest == index.digest
    for platforms in ((), (ARM64,), (AMD64, ARM64)):
        assert refused(store, *platforms) == (
            f"{NAME} is not in the store with everything that the volume holds"
        )


def test_a_missing_layer_counts_like_a_missing_image(store: Store) -> None:
    paint = Painter(store)
    image = paint.image({"a": b"1"})
    store.put(str(NAME), image)
    assert found(store, AMD64)[NAME].digest == image.digest
    blobs = store.layout.blobs.iterdir()
    (layer,) = (path for path in blobs if path.read_bytes()[:2] == b"\x1f\x8b")
    layer.unlink()
    refused(store, AMD64)
    refused(store)


def test_attestations_belong_to_a_volume_without_platforms(store: Store) -> None:
    paint = Painter(store)
    image = paint.image({"a": b"1"})
    attestation = replace(
        paint.image({"s": b"1"}, Platform("unknown", "unknown")),
        annotations={
            "vnd.docker.reference.type": "attestation-manifest",
            "vnd.docker.reference.digest": image.digest,
        },
    )
    index = paint.index(image, attestation)
    store.put(str(NAME), index)
    store.path(attestation.digest).unlink()
    assert found(store, AMD64)[NAME].digest == index.digest
    refused(store)


def test_a_name_that_is_not_in_the_store_is_refused(store: Store) -> None:
    refused(store, AMD64)
