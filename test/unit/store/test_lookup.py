"""Images are found by all the names they go by, for the platform that is wanted."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.errors import ImageError
from assembler.events import EventRecorder, WarningEmitted
from assembler.oci import media_types
from assembler.oci.manifest import Descriptor
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import (
    MissingImage,
    MissingReason,
    Store,
    find_image,
    look_up_image,
    read_attestations,
)
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from pathlib import Path


def absent(store: Store, name: str, platform: Platform = AMD64) -> MissingImage:
    found = look_up_image(store, Reference.parse(name), platform)
    assert isinstance(found, MissingImage)
    return found


def found(store: Store, name: str, platform: Platform = AMD64) -> str:
    return find_image(store, Reference.parse(name), platform).digest


def test_every_image_of_a_foreign_layout_is_found(conformance_layout: Path) -> None:
    store = Store(conformance_layout)
    wrong = {}
    for entry in store.names().entries:
        result = look_up_image(store, Reference.parse(entry.name), AMD64)
        if isinstance(result, MissingImage):
            wrong[entry.name] = result.diagnostic.message
    assert wrong == {
        name: f"{name} has linux/arm64, not linux/amd64"
        for name in ("docker.io/example/armonly:1", "docker.io/example/armflat:1")
    }


def test_names_as_people_write_them(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    store.put("docker.io/library/x:latest", image)
    for name in ("x", "x:latest", "library/x", "docker.io/library/x:latest"):
        assert found(store, name) == image.digest
    assert absent(store, "x:1").reason is MissingReason.UNKNOWN


def test_the_untagged_form_of_linuxkit(store: Store, painter: Painter) -> None:
    untagged, tagged = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put("docker.io/library/x", untagged)
    assert found(store, "x") == untagged.digest
    store.put("docker.io/library/x:latest", tagged)
    assert found(store, "x") == tagged.digest


def test_a_deep_name_without_registry(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    store.put("a/b/c:1", image)
    assert found(store, "a/b/c:1") == image.digest
    store.remove(["a/b/c:1"])
    store.put("docker.io/a/b/c:1", image)
    assert found(store, "a/b/c:1") == image.digest


def test_a_digest_under_another_name_of_the_repository(store: Store, painter: Painter) -> None:
    image, other = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put("docker.io/library/x:1", image)
    store.put("docker.io/library/y:1", other)
    assert found(store, f"x@{image.digest}") == image.digest
    assert found(store, f"x:2@{image.digest}") == image.digest
    assert absent(store, f"x@{other.digest}").reason is MissingReason.UNKNOWN


def test_a_digest_inside_an_index_of_the_repository(store: Store, painter: Painter) -> None:
    amd, arm = painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64)
    index = painter.index(amd, arm)
    store.put("docker.io/library/x:1", index)
    assert found(store, f"x@{index.digest}", ARM64) == arm.digest
    assert found(store, f"x@{arm.digest}", ARM64) == arm.digest
    assert absent(store, f"x@{arm.digest}").diagnostic.code is images.PLATFORM_NOT_FOUND


def test_a_pinned_name_that_leads_elsewhere_is_not_believed(store: Store, painter: Painter) -> None:
    image, other = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put(f"docker.io/library/x@{image.digest}", other)
    assert absent(store, f"x@{image.digest}").reason is MissingReason.UNKNOWN


def test_a_manifest_comes_before_an_index(store: Store, painter: Painter) -> None:
    inside, bare = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    other = painter.image({"a": b"3"}, ARM64)
    entries = [
        d.as_json() | {"annotations": {media_types.REF_NAME: "docker.io/library/x:1"}}
        for d in (painter.index(inside, other), bare)
    ]
    store.layout.index.write_text(json.dumps({"manifests": entries}))
    assert found(store, "x:1") == bare.digest
    assert found(store, "x:1", ARM64) == other.digest


def test_nested_indexes_and_attestations(store: Store, painter: Painter) -> None:
    amd, arm = painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64)
    said = painter.image({"b": b"sbom"}, Platform("unknown", "unknown"))
    attestation = replace(
        said,
        annotations={
            media_types.ATTESTATION: media_types.ATTESTATION_MANIFEST,
            media_types.ATTESTED_DIGEST: amd.digest,
        },
    )
    index = painter.index(painter.index(amd, attestation), painter.index(arm))
    store.put("docker.io/library/x:1", index)
    image = find_image(store, Reference.parse("x:1"), AMD64)
    assert image.digest == amd.digest
    assert [len(m.layers) for m in read_attestations(store, image)] == [1]
    assert read_attestations(store, find_image(store, Reference.parse("x:1"), ARM64)) == ()
    message = absent(store, "x:1", Platform("linux", "riscv64")).diagnostic.message
    assert message == "docker.io/library/x:1 has linux/amd64, linux/arm64, not linux/riscv64"


def test_nested_indexes_have_a_limit(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    index = image
    for depth in range(11):
        index = painter.index(index)
        store.put(f"docker.io/library/x:{depth}", index)
    for depth in range(9):
        assert found(store, f"x:{depth}") == image.digest
    for depth in (9, 10):
        assert absent(store, f"x:{depth}").reason is MissingReason.PLATFORM


def test_an_index_that_holds_itself_many_times_ends(store: Store, painter: Painter) -> None:
    index = painter.index(painter.image({"a": b"1"}, ARM64))
    for _ in range(30):
        index = painter.index(index, index)
    store.put("docker.io/library/x:1", index)
    assert absent(store, "x:1").reason is MissingReason.PLATFORM


@pytest.mark.parametrize(
    ("wanted", "offered", "best"),
    [
        ("arm/v7", ["arm/v5", "arm/v6", "arm/v7", "arm/v8"], "arm/v7"),
        ("arm/v7", ["arm/v5", "arm/v6"], "arm/v6"),
        ("arm/v7", ["arm/v8"], None),
        ("arm/v6", ["arm"], None),
        ("arm", ["arm/v5", "arm/v7", "arm/v6"], "arm/v7"),
        ("arm64", ["arm64/v8"], "arm64/v8"),
        ("arm64/v8", ["arm64"], "arm64"),
        ("amd64", ["amd64/v3", "amd64", "amd64/v2"], "amd64"),
        ("amd64/v3", ["amd64", "amd64/v2"], "amd64/v2"),
        ("amd64", ["amd64/v3"], "amd64/v3"),
        ("amd64/v2", ["amd64/v3"], None),
        ("riscv64", ["riscv64"], "riscv64"),
        ("riscv64", ["amd64"], None),
    ],
)
def test_variants(
    store: Store, painter: Painter, wanted: str, offered: list[str], best: str | None
) -> None:
    made = {o: painter.image({"a": o.encode()}, Platform.parse(f"linux/{o}")) for o in offered}
    store.put("docker.io/library/x:1", painter.index(*made.values()))
    result = look_up_image(store, Reference.parse("x:1"), Platform.parse(f"linux/{wanted}"))
    assert (None if isinstance(result, MissingImage) else result.digest) == (
        made[best].digest if best else None
    )


def test_a_bare_manifest_of_another_machine_is_refused(store: Store, painter: Painter) -> None:
    store.put("docker.io/library/x:1", replace(painter.image({"a": b"1"}, ARM64), platform=None))
    assert absent(store, "x:1").diagnostic.message.endswith("has linux/arm64, not linux/amd64")
    assert found(store, "x:1", ARM64)


def test_an_image_that_names_no_platform_is_used_with_a_warning(
    store: Store, painter: Painter
) -> None:
    store.put("docker.io/library/x:1", painter.image({"a": b"1"}, None))
    recorder = EventRecorder()
    assert find_image(store, Reference.parse("x:1"), ARM64, recorder)
    assert [e.diagnostic.code for e in recorder.events if isinstance(e, WarningEmitted)] == [
        images.PLATFORM_UNKNOWN
    ]


@pytest.mark.parametrize("part", ["layer", "config", "manifest"])
def test_an_image_that_lacks_something_is_not_found(
    store: Store, painter: Painter, part: str
) -> None:
    top = painter.image({"a": b"1"})
    store.put("docker.io/library/x:1", painter.index(top))
    image = find_image(store, Reference.parse("x:1"), AMD64)
    gone = {"layer": image.manifest.layers[0], "config": image.manifest.config, "manifest": top}
    store.path(gone[part].digest).unlink()
    result = absent(store, "x:1")
    assert result.reason is MissingReason.INCOMPLETE
    assert gone[part].digest in result.diagnostic.message
    assert "docker.io/library/x:1 for linux/amd64" in result.diagnostic.message


def test_a_layer_that_was_cut_counts_as_missing(store: Store, painter: Painter) -> None:
    store.put("docker.io/library/x:1", painter.image({"a": b"1"}))
    layer = find_image(store, Reference.parse("x:1"), AMD64).manifest.layers[0]
    store.path(layer.digest).write_bytes(b"")
    assert absent(store, "x:1").reason is MissingReason.INCOMPLETE
    assert not store.path(layer.digest).exists()


def test_looking_up_leaves_a_trace_of_use(store: Store, painter: Painter) -> None:
    import os

    top = painter.image({"a": b"1"})
    store.put("docker.io/library/x:1", top)
    layer = find_image(store, Reference.parse("x:1"), AMD64).manifest.layers[0]
    for digest in (top.digest, layer.digest):
        os.utime(store.path(digest), (1, 1))
    found(store, "x:1")
    assert store.path(layer.digest).stat().st_mtime > 1e9


def test_what_is_no_manifest_is_an_error(store: Store) -> None:
    for data in (b"", b"[]", b'{"schemaVersion": 1, "fsLayers": []}', b'{"layers": []}', b"\0"):
        added = store.add_bytes(data, media_types.OCI_MANIFEST)
        store.put("docker.io/library/x:1", added)
        with pytest.raises(ImageError) as caught:
            look_up_image(store, Reference.parse("x:1"), AMD64)
        assert caught.value.diagnostics[0].code is images.BAD_MANIFEST


def test_tags_of_the_repository_are_told(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    store.put("docker.io/library/x:1", image)
    store.put("docker.io/library/x:2", image)
    hints = absent(store, "x:3").diagnostic.hints
    assert (
        hints[0] == "of this repository the store has docker.io/library/x:1, docker.io/library/x:2"
    )


def test_an_index_called_a_manifest(store: Store, painter: Painter) -> None:
    index = painter.index(painter.image({"a": b"1"}))
    lying = Descriptor(media_types.OCI_MANIFEST, index.digest, index.size)
    store.put("docker.io/library/x:1", lying)
    with pytest.raises(ImageError):
        find_image(store, Reference.parse("x:1"), AMD64)
