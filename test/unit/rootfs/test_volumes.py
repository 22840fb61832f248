"""Volumes: blank ones, trees of images, and whole images as layouts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.oci import media_types
from assembler.oci.store import Store
from assembler.rootfs import ImageRole, find_required_images
from assembler.rootfs.plan import ImageTree, Plan, StoreBlob, TreeRules
from support.pictures import ARM64, Painter
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from pathlib import Path


def below(plan: Plan, name: str) -> list[str]:
    prefix = f"containers/volumes/{name}/"
    return [p.removeprefix(prefix) for p in made(plan) if p.startswith(prefix)]


def test_a_blank_volume(store: Store) -> None:
    plan = planned(loaded("volumes: [{name: v, format: oci}]"), store)
    assert below(plan, "v") == ["lower", "tmp", "merged"]


def test_the_tree_of_an_image(store: Store) -> None:
    plan = planned(loaded("volumes: [{name: v, image: example/voldata:1}]"), store)
    (tree,) = [p for p in plan.parts if isinstance(p, ImageTree)]
    assert (tree.prefix, tree.rules) == ("containers/volumes/v/lower/", TreeRules.VOLUME)


def test_a_layout_of_some_platforms_keeps_the_name_of_its_index(store: Store) -> None:
    text = "volumes: [{name: v, image: example/multi:1, format: oci, platforms: [linux/arm64]}]"
    config = loaded(text)
    (need,) = find_required_images(config)
    assert need.role is ImageRole.LAYOUT
    assert [str(p) for p in need.platforms] == ["linux/arm64"]
    plan = planned(config, store)
    blobs = [e.content for e in made(plan).values() if isinstance(e.content, StoreBlob)]
    kinds = [b.descriptor.media_type for b in blobs]
    layers = [media_types.OCI_LAYER_GZIP] * 2
    assert kinds == [
        media_types.OCI_CONFIG,
        *layers,
        media_types.OCI_MANIFEST,
        media_types.OCI_INDEX,
    ]
    index = index_of(plan)
    assert index["mediaType"] == media_types.OCI_INDEX
    assert index["annotations"] == {media_types.REF_NAME: "docker.io/example/multi:1"}
    assert below(plan, "v")[-3:] == ["lower/index.json", "tmp", "merged"]


def test_an_index_of_docker_keeps_its_media_type(store: Store) -> None:
    text = "volumes: [{name: v, image: example/multi-docker:1, format: oci}]"
    plan = planned(loaded(text), store)
    assert index_of(plan)["mediaType"] == media_types.DOCKER_INDEX


def test_a_single_manifest_makes_a_layout(store: Store) -> None:
    plan = planned(loaded("volumes: [{name: v, image: example/plain:1, format: oci}]"), store)
    assert index_of(plan)["mediaType"] == media_types.DOCKER_MANIFEST


@pytest.mark.parametrize("image", ["multi", "plain"])
def test_a_missing_platform_is_refused(store: Store, image: str) -> None:
    text = (
        f"volumes: [{{name: v, image: 'example/{image}:1', format: oci, platforms: [linux/s390x]}}]"
    )
    with pytest.raises(PlanError) as caught:
        planned(loaded(text), store)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == rootfs.BAD_VOLUME
    assert diagnostic.place is not None
    assert diagnostic.place.column == text.index("linux/s390x") + 1
    assert "linux/amd64" in diagnostic.hints[0]


def test_indexes_in_an_index(tmp_path: Path) -> None:
    own = Store(tmp_path)
    painter = Painter(own)
    inner = painter.index(painter.image({"a": b"1"}))
    outer = painter.index(inner, painter.image({"a": b"2"}, ARM64))
    own.put("docker.io/example/nested:1", outer)
    text = "volumes: [{name: v, image: example/nested:1, format: oci}]"
    plan = planned(loaded(text), own)
    names = below(plan, "v")
    assert f"lower/blobs/sha256/{inner.digest[7:]}" in names
    assert len([n for n in names if n.startswith("lower/blobs/sha256/")]) == 2 * 3 + 2


def index_of(plan: Plan) -> dict[str, object]:
    content = made(plan)["containers/volumes/v/lower/index.json"].content
    assert isinstance(content, bytes)
    (descriptor,) = json.loads(content)["manifests"]
    assert isinstance(descriptor, dict)
    return descriptor
