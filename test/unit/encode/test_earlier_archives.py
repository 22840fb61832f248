"""The tar of an earlier build is hostile input: whatever its record and its entries say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from isal import isal_zlib

from assembler.encode.salvage_archive import SalvageArchive, SalvageError
from assembler.encode.salvaged_trees import replay_tree
from assembler.encode.tar_encoder import TAR_END, global_comment
from assembler.errors import DolmenError, LayerError
from assembler.oci import media_types
from assembler.oci.digest import digest_of
from assembler.oci.image import Image
from assembler.oci.layers import LayerLimits
from assembler.oci.reference import Reference
from assembler.oci.salvaged_image import SalvagedContent, SalvagedImage, SalvagedTree
from assembler.oci.store import Store
from support.archives import Collected, E, directory, hardlink, image, symlink, tar
from support.pictures import AMD64

if TYPE_CHECKING:
    from pathlib import Path

NAME = "docker.io/example/x:1"
PREFIX = "containers/services/s/lower/"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Image, dict[str, Any], bytes]:
    """Give an image, a record of it, and the archive without the record."""
    store = Store(tmp_path_factory.mktemp("store"))
    found = image(store, NAME, [E("a", b"1")])
    comment = {"comment": f"services[0] {NAME}"}
    tree = tar([E(PREFIX + "a", b"1", pax=comment)]).rstrip(b"\0")
    tree += bytes(-len(tree) % 512)
    record = {
        "architecture": "amd64",
        "images": {NAME: {"manifest": found.digest, "index": None, "attested": False}},
        "documents": [
            store.path(d.digest).read_text() for d in (found.descriptor, found.manifest.config)
        ],
        "parts": [
            {
                "image": NAME,
                "location": "services[0]",
                "prefix": PREFIX,
                "rules": "container",
                "size": len(tree),
                "crc32": isal_zlib.crc32(tree),
            }
        ],
        "files": [],
        "sbom": None,
    }
    return found, record, tree


def earlier(path: Path, record: object, tree: bytes) -> SalvageArchive:
    """Write an archive with a record, and open it."""
    path.write_bytes(global_comment(b"dolmen:1 " + json.dumps(record).encode()) + tree + TAR_END)
    return SalvageArchive.open(path)


def test_the_image_is_found(made: tuple[Image, dict[str, Any], bytes], tmp_path: Path) -> None:
    expected, record, tree = made
    found = earlier(tmp_path / "x.tar", record, tree).image(Reference.parse(NAME), AMD64, [])
    assert (found.digest, found.config) == (expected.digest, expected.config)
    assert found.salvaged is not None
    (laid,) = found.salvaged.trees
    collected = Collected()
    replay_tree(found, laid, collected, LayerLimits())
    assert collected.files() == {"a": b"1"}


@pytest.mark.parametrize(
    ("lists", "pinned", "why"),
    [
        (True, "index", ""),
        (True, "manifest", ""),
        (False, "manifest", ""),
        (False, "index", "which its index does not list"),
        (True, "another", "is wanted"),
    ],
)
def test_an_index_counts_if_it_lists_the_manifest(
    made: tuple[Image, dict[str, Any], bytes], tmp_path: Path, *, lists: bool, pinned: str, why: str
) -> None:
    expected, record, _ = made
    other = replace(expected.descriptor, digest="sha256:" + "0" * 64)
    listed = expected.descriptor if lists else other
    index = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": media_types.OCI_INDEX,
            "manifests": [listed.as_json()],
        }
    )
    digests = {
        "index": digest_of(index.encode()),
        "manifest": expected.digest,
        "another": other.digest,
    }
    name = f"{NAME}@{digests[pinned]}"
    tree = tar([E(PREFIX + "a", b"1", pax={"comment": f"services[0] {name}"})])[:2048]
    part = record["parts"][0] | {
        "image": name,
        "size": len(tree),
        "crc32": isal_zlib.crc32(tree),
    }
    entry = {"manifest": expected.digest, "index": digests["index"], "attested": False}
    with_index = record | {
        "images": {name: entry},
        "documents": [*record["documents"], index],
        "parts": [part],
    }
    archive = earlier(tmp_path / "x.tar", with_index, tree)
    if why:
        with pytest.raises(SalvageError, match=why):
            archive.image(Reference.parse(name), AMD64, [])
        return
    found = archive.image(Reference.parse(name), AMD64, [digests["index"]])
    assert found.digest == expected.digest
    assert found.index is not None
    assert (found.index.digest, found.index.size) == (digests["index"], len(index))
    assert found.salvaged is not None
    assert [laid.prefix for laid in found.salvaged.trees] == [PREFIX]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.sampled_from(["\ud800", NAME, "sha256:" + "0" * 64]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.data())
def test_any_record_gives_an_image_or_an_error(
    made: tuple[Image, dict[str, Any], bytes],
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
) -> None:
    expected, record, tree = made
    lied = json.loads(json.dumps(record))
    at: Any = lied
    while isinstance(at, dict | list) and at:
        key = data.draw(st.sampled_from(list(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or data.draw(st.booleans()):
            at[key] = data.draw(ANYTHING)
            break
        at = at[key]
    path = tmp_path_factory.getbasetemp() / "lied.tar"
    try:
        found = earlier(path, lied, tree).image(Reference.parse(NAME), AMD64, [])
    except (SalvageError, DolmenError):
        return
    # What it says of the image itself cannot be forged, as far as it is taken.
    assert found.digest == expected.digest
    assert found.config == expected.config


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([E("../up")], "not one that a build writes"),
        ([E("elsewhere/a")], "not one that a build writes"),
        ([E(PREFIX + "../up")], "it would leave the root directory"),
        ([E(PREFIX + "a//b")], "not one that a build writes"),
        ([directory(PREFIX.rstrip("/"))], "not one that a build writes"),
        ([hardlink(PREFIX + "a", PREFIX + "b")], "an entry that is not before it"),
        ([hardlink(PREFIX + "a", "etc/passwd")], "not one that a build writes"),
        ([directory(PREFIX + "d"), hardlink(PREFIX + "a", PREFIX + "d")], "not before it"),
        ([E(PREFIX + f"{n}") for n in range(9)], "more than 5 entries"),
        ([E(PREFIX + "a"), E(PREFIX + "b", pax={"mtime": "x"})], f"entry {PREFIX}b: its time is"),
    ],
)
def test_unexpected_entries_are_refused(
    made: tuple[Image, dict[str, Any], bytes], entries: list[E], why: str, tmp_path: Path
) -> None:
    tree = tar([symlink(PREFIX + "l", "../../anywhere"), *entries])
    path = tmp_path / "tree.tar"
    path.write_bytes(tree)
    excerpt = SalvagedContent(path, 0, len(tree), hashlib.sha256(tree).hexdigest())
    laid = SalvagedTree("container", PREFIX, excerpt)
    found = Image(*_parts(made[0]), salvaged=SalvagedImage((laid,)))
    with pytest.raises(LayerError, match=why):
        replay_tree(found, laid, Collected(), LayerLimits(entries=5))


def test_an_archive_that_changes_meanwhile(
    made: tuple[Image, dict[str, Any], bytes], tmp_path: Path
) -> None:
    _, record, tree = made
    path = tmp_path / "x.tar"
    found = earlier(path, record, tree).image(Reference.parse(NAME), AMD64, [])
    assert found.salvaged is not None
    data = path.read_bytes()
    at = data.rindex(b"1")
    path.write_bytes(data[:at] + b"2" + data[at + 1 :])
    with pytest.raises(LayerError, match="changed while it was read"):
        replay_tree(found, found.salvaged.trees[0], Collected(), LayerLimits())


def _parts(found: Image) -> tuple[Any, ...]:
    return found.reference, found.descriptor, found.manifest, found.config
