"""index.json: names come and go, and what others have written stays."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.store import ImageNames, Store
from support.pictures import ARM64, Painter


def written(store: Store) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(store.layout.index.read_bytes())
    return document


def rewrite(store: Store, document: object) -> None:
    store.layout.prepare()
    store.layout.index.write_text(json.dumps(document))


def test_a_name_has_both_annotations(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"}, ARM64)
    store.put("docker.io/library/x:1", image)
    assert written(store) == {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_INDEX,
        "manifests": [
            {
                "mediaType": media_types.OCI_MANIFEST,
                "digest": image.digest,
                "size": image.size,
                "platform": {"os": "linux", "architecture": "arm64"},
                "annotations": {
                    media_types.REF_NAME: "docker.io/library/x:1",
                    media_types.CONTAINERD_NAME: "docker.io/library/x:1",
                },
            }
        ],
    }
    assert json.loads((store.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_a_name_moves_from_one_image_to_another(store: Store, painter: Painter) -> None:
    first, second = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put("a:1", first)
    store.put("b:1", first)
    store.put("a:1", second)
    assert [(e.name, e.descriptor.digest) for e in store.names().entries] == [
        ("a:1", second.digest),
        ("b:1", first.digest),
    ]
    store.remove(["a:1", "never:1"])
    assert [e.name for e in store.names().entries] == ["b:1"]


def test_what_others_wrote_stays(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    theirs = {
        "schemaVersion": 2,
        "annotations": {"com.example.owner": "them"},
        "x-field": [1, {"y": None}],
        "manifests": [
            image.as_json()
            | {
                "annotations": {media_types.REF_NAME: "latest", "vnd.note": "keep"},
                "urls": ["https://example.com/x"],
                "x-more": 1,
            },
            {"mediaType": "application/vnd.unknown", "digest": "sha512:00", "size": 1},
        ],
    }
    rewrite(store, theirs)
    store.put("docker.io/library/x:1", image)
    after = written(store)
    added = after["manifests"].pop()
    assert added["annotations"][media_types.REF_NAME] == "docker.io/library/x:1"
    assert after == theirs
    store.remove(["docker.io/library/x:1"])
    assert written(store) == theirs


def test_putting_the_same_again_keeps_the_entry_as_others_made_it(
    store: Store, painter: Painter
) -> None:
    image = painter.image({"a": b"1"})
    entry = image.as_json() | {
        "annotations": {media_types.REF_NAME: "x:1", "vnd.note": "keep"},
        "z": 1,
    }
    rewrite(store, {"schemaVersion": 2, "manifests": [entry]})
    store.put("x:1", image)
    assert written(store)["manifests"] == [entry]


def test_several_entries_of_one_name_become_one(store: Store, painter: Painter) -> None:
    first, second = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    rewrite(
        store,
        {
            "manifests": [
                d.as_json() | {"annotations": {media_types.REF_NAME: "x"}} for d in (first, second)
            ]
        },
    )
    assert len(store.names().named("x")) == 2
    store.put("x", second)
    assert [e.descriptor.digest for e in store.names().entries] == [second.digest]


def test_a_name_needs_its_blob(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    store.path(image.digest).unlink()
    with pytest.raises(ImageError) as caught:
        store.put("x:1", image)
    assert caught.value.diagnostics[0].code is images.BLOB_MISSING


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"manifests": 3}', b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "text", "manifests", "binary", "deep"],
)
def test_garbage_is_refused_with_a_way_out(store: Store, garbage: bytes) -> None:
    store.layout.prepare()
    store.layout.index.write_bytes(garbage)
    with pytest.raises(ImageError) as caught:
        store.names()
    assert caught.value.diagnostics[0].code is images.BROKEN_STORE
    assert "--repair" in str(caught.value)
    with pytest.raises(ImageError):
        store.put("x:1", store.add_bytes(b"x"))
    assert store.layout.index.read_bytes() == garbage


@pytest.mark.parametrize(
    "item",
    [None, 3, [], {}, {"digest": "sha256:../../x", "size": 1}, {"digest": "sha256:" + "0" * 64}],
)
def test_an_entry_that_is_none_does_not_hide_the_others(
    store: Store, painter: Painter, item: object
) -> None:
    image = painter.image({"a": b"1"})
    good = image.as_json() | {"annotations": {media_types.REF_NAME: "x:1"}}
    rewrite(store, {"manifests": [item, good]})
    names = store.names()
    assert [e.name for e in names.entries] == ["x:1"]
    assert len(names.broken) == 1
    assert written(store)["manifests"][0] == item
    assert [e.name for e in names.repaired().entries] == ["x:1"]


def test_a_view_never_changes(painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    before = ImageNames.none()
    after = before.put("x:1", image)
    assert before.entries == ()
    assert after.without(["x:1"]) == before
    assert after.put("x:1", image) == after


def test_many_names_at_once_are_all_there_afterwards(store: Store, painter: Painter) -> None:
    image = painter.image({"a": b"1"})
    wanted = [f"x:{n}" for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.put(n, image), wanted))
    assert sorted(e.name for e in store.names().entries) == sorted(wanted)
