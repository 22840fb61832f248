"""The list of images: the platforms that each name has, and those that are missing."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_entries, list_images, look_up_image
from assembler.oci.store.image_list import find_named_entries
from assembler.oci.store.image_lookup import MissingImage
from support.pictures import AMD64, ARM64, Painter

X = "docker.io/library/x:1"


def blob_sizes(store: Store) -> int:
    return sum(path.stat().st_size for path in store.layout.blobs.iterdir())


def test_a_complete_image_has_its_size_platform_and_last_use(
    store: Store, painter: Painter
) -> None:
    image = painter.image({"a": b"1" * 500}, ARM64)
    store.put(X, image)
    for path in store.layout.blobs.iterdir():
        os.utime(path, (5, 1_000_000_000))
    os.utime(store.path(image.digest), (5, 1_500_000_000))
    (row,) = list_images(store)
    assert row.as_json() == {
        "name": X,
        "digest": image.digest,
        "mediaType": media_types.OCI_MANIFEST,
        "platforms": ["linux/arm64"],
        "notFetched": [],
        "size": blob_sizes(store),
        "used": "2017-07-14T02:40:00+00:00",
        "complete": True,
    }


def test_an_index_has_all_platforms_and_the_time_of_the_last_used(
    store: Store, painter: Painter
) -> None:
    amd, arm = painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64)
    riscv = painter.image({"a": b"3"}, Platform("linux", "riscv64"))
    said = replace(
        painter.image({"s": b"1"}, Platform("unknown", "unknown")),
        annotations={
            media_types.ATTESTATION: media_types.ATTESTATION_MANIFEST,
            media_types.ATTESTED_DIGEST: amd.digest,
        },
    )
    store.put(X, painter.index(arm, amd, riscv, said))
    whole = blob_sizes(store)
    (row,) = list_images(store)
    # An attestation is no platform.
    assert [str(p) for p in row.platforms] == ["linux/arm64", "linux/amd64", "linux/riscv64"]
    assert (row.complete, row.not_fetched, row.size) == (True, (), whole)

    gone = store.path(riscv.digest).stat().st_size
    store.path(riscv.digest).unlink()
    for digest in (said.digest, arm.digest):
        os.utime(store.path(digest), (5, 2_000_000_000))
    (row,) = list_images(store)
    assert [str(p) for p in row.platforms] == ["linux/arm64", "linux/amd64"]
    assert [str(p) for p in row.not_fetched] == ["linux/riscv64"]
    # What only the missing image needs is not part of the size any more.
    assert row.size < whole - gone
    assert (row.complete, row.used) == (True, 2_000_000_000)


def test_missing_parts_make_an_image_incomplete(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"}, None)
    store.put(X, image)
    other = painter.image({"a": b"2"})
    store.put("docker.io/library/a:1", other)
    store.path(other.digest).unlink()
    (layer,) = (p for p in store.layout.blobs.iterdir() if p.read_bytes()[:2] == b"\x1f\x8b"
                and p.name in store.path(image.digest).read_text())  # fmt: skip
    layer.unlink()
    rows = {row.name: row for row in list_images(store)}
    # By name.
    assert list(rows) == ["docker.io/library/a:1", X]
    assert [(row.complete, row.platforms) for row in rows.values()] == [(False, ()), (False, ())]
    assert (rows["docker.io/library/a:1"].used, rows["docker.io/library/a:1"].size) == (0.0, 0)
    assert rows[X].as_json()["used"] != "1970-01-01T00:00:00+00:00"


def test_entries_are_found_by_exact_names_first(store: Store, painter: Painter) -> None:
    one, two = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put("docker.io/library/x:latest", one)
    store.put("x", two)
    names = store.names()

    def found(text: str) -> list[str]:
        return [entry.descriptor.digest for entry in find_entries(names, text)]

    assert found("x") == [two.digest]
    assert found("x:latest") == found("library/x") == [one.digest]
    assert found("y") == []
    both = find_named_entries(names, ["x:latest", "x"])
    assert [entry.descriptor.digest for entry in both] == [one.digest, two.digest]


def test_unknown_names_are_refused_together_with_hints(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    for name in ("ghcr.io/org/x:2", "quay.io/org/x:1", "reg.example.com/org/x:1", "a.io/org/x:3"):
        store.put(name, image)
    with pytest.raises(ImageError) as caught:
        find_named_entries(store.names(), ["ghcr.io/org/x:2", "org/x:1", "none:1"])
    known = "`dolmen cache ls` lists the store"
    assert [(d.message, d.hints) for d in caught.value.diagnostics] == [
        (
            "docker.io/org/x:1 is not in the store",
            # Names with the same tag first, and three at most.
            ("did you mean quay.io/org/x:1 or reg.example.com/org/x:1 or a.io/org/x:3?", known),
        ),
        ("docker.io/library/none:1 is not in the store", (known,)),
    ]


def hints(store: Store, name: str) -> tuple[str, ...]:
    found = look_up_image(store, Reference.parse(name), AMD64)
    assert isinstance(found, MissingImage)
    return found.diagnostic.hints


def test_a_missing_image_has_hints_with_what_is_there(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    pull = "`dolmen cache pull {}` fetches it, `dolmen cache import FILE` takes a file"
    assert hints(store, "x:9") == (pull.format("docker.io/library/x:9"),)
    for tag in range(5):
        store.put(f"docker.io/library/x:{tag}", image)
    listed = ", ".join(f"docker.io/library/x:{tag}" for tag in range(5))
    assert hints(store, "x:9")[0] == f"of this repository the store has {listed}"
    for tag in (5, 6):
        store.put(f"docker.io/library/x:{tag}", image)
    assert hints(store, "x:9")[0] == f"of this repository the store has {listed} and 2 more"
    store.put("ghcr.io/x:9", image)
    assert hints(store, "x:9") == (
        "did you mean ghcr.io/x:9?",
        f"of this repository the store has {listed} and 2 more",
        pull.format("docker.io/library/x:9"),
    )
    store.remove(["ghcr.io/x:9"])
    # The official images of Docker Hub are copied to other registries without "library".
    assert hints(store, "ghcr.io/x:1") == (
        "did you mean docker.io/library/x:1 or docker.io/library/x:0 or docker.io/library/x:2?",
        pull.format("ghcr.io/x:1"),
    )
