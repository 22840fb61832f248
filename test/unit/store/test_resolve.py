"""From names to images: nothing is used before everything is there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.diagnostics import Place
from assembler.diagnostics import SourceText as Text
from assembler.errors import ImageError, RegistryError
from assembler.events import NullReporter, Reporter
from assembler.oci.image_sources import ImageSources
from assembler.oci.reference import Reference
from assembler.oci.resolution import resolve_images
from assembler.oci.store import Store, find_image
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.oci.platform import Platform

A, B, C = (Reference.parse(f"{name}:1") for name in "abc")
TEXT = Text("image.yml", "kernel: a:1\ninit: b:1\n")
PLACES = {A: Place(TEXT, 1, 9, 3), B: Place(TEXT, 2, 7, 3), C: None}


@dataclass
class Registry:
    """Brings images of one layer, of this content, for one platform."""

    content: bytes = b"registry"
    platform: Platform = AMD64
    asked: list[list[str]] = field(default_factory=list)

    def __call__(
        self, store: Store, references: Sequence[Reference], _: Platform, __: Reporter
    ) -> None:
        self.asked.append([str(r) for r in references])
        for reference in references:
            files = {str(reference): self.content}
            store.put(reference, Painter(store).image(files, self.platform))


def test_existing_images_are_not_fetched(store: Store, painter: Painter) -> None:
    store.put(A, painter.image({"a": b"1"}))
    registry = Registry()
    found = resolve_images(
        {A: None}, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
    )
    assert found == {A: find_image(store, A, AMD64)}
    assert registry.asked == []


def test_all_missing_images_are_fetched_in_order(store: Store, painter: Painter) -> None:
    store.put(B, painter.image({"a": b"1"}))
    registry = Registry()
    found = resolve_images(
        PLACES, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
    )
    assert list(found) == [A, B, C]
    assert registry.asked == [[str(A), str(C)]]


def test_offline_reports_all_missing_images(store: Store, painter: Painter) -> None:
    store.put(C, painter.image({"a": b"1"}, ARM64))
    with pytest.raises(ImageError) as caught:
        resolve_images(
            PLACES,
            AMD64,
            ImageSources(store=store.root, fetch=Registry(), offline=True),
            NullReporter(),
        )
    assert [(d.code, d.place) for d in caught.value.diagnostics] == [
        (images.NOT_IN_STORE, PLACES[A]),
        (images.NOT_IN_STORE, PLACES[B]),
        (images.PLATFORM_NOT_FOUND, None),
    ]
    assert "image.yml:2:7: error[DM0205]: docker.io/library/b:1 is not in" in str(caught.value)


def test_pull_checks_all_references_without_a_digest(store: Store, painter: Painter) -> None:
    old = painter.image({"a": b"old"})
    store.put(A, old)
    pinned = Reference.parse(f"a@{old.digest}")
    registry = Registry()
    sources = ImageSources(store=store.root, fetch=registry, pull=True)
    found = resolve_images({A: None, pinned: None}, AMD64, sources, NullReporter())
    assert registry.asked == [[str(A)]]
    assert found[A].digest != old.digest
    store.put(A, old)
    found = resolve_images(
        {A: None},
        AMD64,
        ImageSources(store=store.root, fetch=registry, pull=True, offline=True),
        NullReporter(),
    )
    assert found[A].digest == old.digest


def test_a_platform_that_the_store_lacks_is_fetched(store: Store, painter: Painter) -> None:
    store.put(A, painter.image({"a": b"1"}, ARM64))
    assert resolve_images(
        {A: None}, AMD64, ImageSources(store=store.root, fetch=Registry()), NullReporter()
    )[A]


def test_a_platform_that_no_registry_has(store: Store) -> None:
    sources = ImageSources(store=store.root, fetch=Registry(platform=ARM64))
    with pytest.raises(ImageError) as caught:
        resolve_images(PLACES, AMD64, sources, NullReporter())
    assert [d.place for d in caught.value.diagnostics] == [PLACES[A], PLACES[B], None]
    assert "has linux/arm64, not linux/amd64" in str(caught.value)


def test_a_broken_layer_is_fetched_again(store: Store) -> None:
    registry = Registry()
    image = resolve_images(
        {A: None}, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
    )[A]
    store.quarantine(image.manifest.layers[0].digest)
    assert (
        resolve_images(
            {A: None}, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
        )[A]
        == image
    )
    assert len(registry.asked) == 2


def test_a_changed_manifest_is_fetched_again(store: Store) -> None:
    registry = Registry()
    image = resolve_images(
        {A: None}, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
    )[A]
    path = store.path(image.digest)
    path.write_bytes(path.read_bytes().replace(b"sha256", b"sha265", 1))
    assert (
        resolve_images(
            {A: None}, AMD64, ImageSources(store=store.root, fetch=registry), NullReporter()
        )[A]
        == image
    )


def test_a_registry_that_refuses(store: Store) -> None:
    def refuse(*_: object) -> None:
        raise RegistryError.of(images.NOT_IN_STORE, "no")

    with pytest.raises(RegistryError):
        resolve_images(
            {A: None}, AMD64, ImageSources(store=store.root, fetch=refuse), NullReporter()
        )
