"""Every byte is checked, and what is wrong is told, put aside, fetched again."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from assembler.codes import images
from assembler.errors import ImageError, RegistryError
from assembler.events import NullReporter, Reporter
from assembler.oci import media_types
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.pictures import AMD64, ARM64, Painter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.oci.platform import Platform

QUIET = NullReporter()


@dataclass
class Origin:
    """Brings blobs back from a copy of the store, as a registry would."""

    copy: Store
    asked: list[str] = field(default_factory=list)

    def __call__(
        self, store: Store, references: Sequence[Reference], platform: Platform, _: Reporter
    ) -> None:
        for reference in references:
            self.asked.append(f"{reference} {platform}")
            for path in self.copy.layout.blobs.iterdir():
                store.add_bytes(path.read_bytes())
            for entry in self.copy.names().entries:
                if entry.descriptor.digest == reference.digest:
                    store.put(reference, entry.descriptor)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.fixture
def origin(store: Store, painter: Painter, tmp_path: Path) -> Origin:
    """Fill the store with an image of two platforms, and give what can bring it again."""
    index = painter.index(painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64))
    store.put("docker.io/library/x:1", index)
    shutil.copytree(store.root, tmp_path / "copy")
    return Origin(Store(tmp_path / "copy"))


def blob(store: Store, part: str) -> Path:
    image = find_image(store, Reference.parse("x:1"), ARM64)
    assert image.index is not None
    return store.path(
        {
            "layer": image.manifest.layers[0],
            "config": image.manifest.config,
            "manifest": image.descriptor,
            "index": image.index,
        }[part].digest
    )


@pytest.mark.usefixtures("origin")
def test_a_store_without_mistakes(store: Store) -> None:
    report = verify_store(store, QUIET)
    assert report.clean
    assert (report.images, report.blobs, report.orphans) == (1, 7, 0)
    assert report.bytes == sum(p.stat().st_size for p in store.layout.blobs.iterdir())


def test_a_missing_store_has_no_mistakes(store: Store) -> None:
    assert verify_store(store, QUIET).clean
    assert not store.root.exists()


def test_a_layout_of_another_tool_has_no_mistakes(conformance_layout: Path) -> None:
    report = verify_store(Store(conformance_layout), QUIET)
    assert report.problems == []


@pytest.mark.parametrize("part", ["layer", "config", "index"])
def test_a_flipped_bit_is_found_and_repaired(store: Store, origin: Origin, part: str) -> None:
    path = blob(store, part)
    right = path.read_bytes()
    flip(path)
    report = verify_store(store, QUIET)
    assert [d.code for d in report.problems] == [images.BLOB_MISSING]
    assert "docker.io/library/x:1" in report.problems[0].message
    assert not path.exists()
    report = verify_store(store, QUIET, repair=True, fetch=origin)
    assert report.clean
    assert path.read_bytes() == right
    assert verify_store(store, QUIET).clean
    assert [e.name for e in store.names().entries] == ["docker.io/library/x:1"]
    digest = store.names().entries[0].descriptor.digest
    platform = "linux/arm64" if part != "index" else str(AMD64)
    assert origin.asked == [f"docker.io/library/x:1@{digest} {platform}"]


def rot(path: Path, at: int) -> bytes:
    """Flip a bit as a disk does, without changing the times; return the right content."""
    right, times = path.read_bytes(), path.stat()
    path.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return right


@pytest.mark.usefixtures("origin")
def test_a_flipped_bit_of_the_names_is_found_and_repaired(store: Store) -> None:
    """Else another name, or none, would be that of the image."""
    right = rot(store.layout.index, store.layout.index.read_bytes().index(b"library/x") + 8)
    with pytest.raises(ImageError, match="has changed on the disk"):
        find_image(store, Reference.parse("y:1"), AMD64)
    report = verify_store(store, QUIET)
    assert [d.code for d in report.problems] == [images.BROKEN_STORE]
    assert verify_store(store, QUIET, repair=True).clean
    assert store.layout.index.read_bytes() == right
    assert verify_store(store, QUIET).clean
    assert [e.name for e in store.names().entries] == ["docker.io/library/x:1"]


@pytest.mark.usefixtures("origin")
def test_a_flipped_bit_of_the_copy_of_the_names_has_no_effect(store: Store) -> None:
    for at in (0, 30, 100, 200):
        rot(store.layout.index_copy, at)
        assert [e.name for e in store.names().entries] == ["docker.io/library/x:1"]
        assert not store.restore_names()


@pytest.mark.usefixtures("origin")
def test_names_that_another_program_writes_are_no_rot(store: Store) -> None:
    index = store.layout.index
    index.write_bytes(index.read_bytes().replace(b"library/x", b"library/y"))
    os.utime(index, (1, 1))
    assert [e.name for e in store.names().entries] == ["docker.io/library/y:1"]
    assert not store.restore_names()


def test_a_missing_platform_is_no_problem(store: Store, origin: Origin) -> None:
    blob(store, "manifest").unlink()
    report = verify_store(store, QUIET, repair=True, fetch=origin)
    assert report.clean
    assert report.orphans == 2
    assert origin.asked == []


def test_an_index_without_an_image_is_a_problem(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    store.put("docker.io/library/x:1", painter.index(image))
    store.path(image.digest).unlink()
    (problem,) = verify_store(store, QUIET).problems
    assert "none of the images in its index" in problem.message


@pytest.mark.usefixtures("origin")
def test_a_blob_that_cannot_be_fetched_is_reported(store: Store) -> None:
    def refuse(*_: object) -> None:
        raise RegistryError.of(images.NOT_IN_STORE, "the registry has burnt down")

    blob(store, "layer").unlink()
    report = verify_store(store, QUIET, repair=True, fetch=refuse)
    refusal, incomplete = report.problems
    assert refusal.message == "the registry has burnt down"
    assert "is not complete" in incomplete.message


def test_an_invalid_index_json_is_quarantined(store: Store, origin: Origin) -> None:
    store.layout.index.write_bytes(b"{ garbage")
    assert [d.code for d in verify_store(store, QUIET).problems] == [images.BROKEN_STORE]
    assert store.layout.index.read_bytes() == b"{ garbage"
    report = verify_store(store, QUIET, repair=True, fetch=origin)
    assert report.clean
    assert (store.layout.quarantine / "index.json.1").read_bytes() == b"{ garbage"
    assert store.names().entries == ()
    assert report.orphans == 7
    store.layout.index.write_bytes(b"")
    assert verify_store(store, QUIET, repair=True).clean
    assert (store.layout.quarantine / "index.json.2").exists()


def test_invalid_entries_are_removed_by_a_repair(store: Store, painter: Painter) -> None:
    store.put("docker.io/library/x:1", painter.image({"a": b"1"}))
    text = store.layout.index.read_text()
    store.layout.index.write_text(text.replace('"manifests": [', '"manifests": [ 7, {"x": 1},'))
    assert [d.code for d in verify_store(store, QUIET).problems] == [images.BROKEN_STORE] * 2
    assert verify_store(store, QUIET, repair=True).clean
    assert store.layout.index.read_text() == text


def test_a_corrupt_orphan_is_quarantined(store: Store) -> None:
    path = store.path(store.add_bytes(b"abc").digest)
    flip(path)
    report = verify_store(store, QUIET)
    assert report.clean
    assert "put aside" in report.repaired[0]
    assert not path.exists()


def test_invalid_names_are_reported(store: Store, painter: Painter, origin: Origin) -> None:
    image = painter.image({"a": b"lost"})
    index = store.layout.index
    text = index.read_text().replace('"docker.io/library/x:1"', '"Not A Name"')
    index.write_text(text.replace(store.names().entries[0].descriptor.digest, image.digest))
    store.edit(lambda names: names.put("fine", image))
    store.path(image.digest).unlink()
    report = verify_store(store, QUIET, repair=True, fetch=origin)
    assert not report.clean
    assert media_types.REF_NAME in index.read_text()


def test_a_report_says_what_is_missing_and_what_to_do(store: Store, painter: Painter) -> None:
    one, two, three = (painter.image([{"a": b"1%d" % n}, {"b": b"2%d" % n}]) for n in range(3))
    for number, image in enumerate((one, two, three)):
        store.put(f"docker.io/library/x:{number}", image)
    store.path(one.digest).unlink()
    found = find_image(store, Reference.parse("x:1"), AMD64)
    for layer in found.manifest.layers:
        store.path(layer.digest).unlink()
    entries = json.loads(store.layout.index.read_text())
    for number in (0, 2):
        entries["manifests"][number]["annotations"] = {}
    store.path(three.digest).unlink()
    store.layout.index.write_text(json.dumps(entries))
    store.add_bytes(b"orphan")
    report = verify_store(store, QUIET)
    nameless = "an entry without a name is not complete: its manifest {} is not in the store"
    named = f"docker.io/library/x:1 is not complete: {found.manifest.layers[0].digest}"
    assert [d.message for d in report.problems] == [
        nameless.format(one.digest),
        f"{named} is not in the store, nor are 1 other blobs",
        nameless.format(three.digest),
    ]
    commands = (
        "`dolmen cache pull docker.io/library/x:1` or `dolmen cache rm docker.io/library/x:1`"
    )
    # No command takes an entry that has no name.
    assert [d.hints for d in report.problems] == [(), (commands,), ()]
    document = report.as_json()
    assert document["clean"] is False
    assert document["images"] == 3
    assert [p["message"] for p in document["problems"]] == [p.message for p in report.problems]
    # Configs and layers of images whose manifests are gone, and a blob that no image ever had.
    assert (document["orphans"], document["blobs"]) == (7, 9)
    assert document["orphanBytes"] < document["bytes"]
