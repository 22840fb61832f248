"""Archives that anybody may have made: what is good arrives whole, what is not leaves nothing."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

from assembler.codes import images
from assembler.errors import DolmenError, ImageError
from assembler.events import EventRecorder, NullReporter, WarningEmitted
from assembler.oci import media_types
from assembler.oci.archive_export import ArchiveFormat, ExportOptions, export_archive
from assembler.oci.archive_import import ArchiveInput, ImportedImage, import_archive
from assembler.oci.digest import digest_of
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image, verify_store
from support.pictures import AMD64, ARM64, Painter, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

X = Reference.parse("x:1")


def exported(store: Store, kind: ArchiveFormat = ArchiveFormat.OCI, **options: Any) -> bytes:
    out = io.BytesIO()
    export_archive(store, ExportOptions(X, kind, **options), out, NullReporter())
    return out.getvalue()


def imported(store: Store, data: bytes, name: Reference | None = None) -> tuple[ImportedImage, ...]:
    return import_archive(
        store, ArchiveInput(io.BytesIO(data), "test", len(data), name), NullReporter()
    )


def members(data: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {m.name: tar.extractfile(m).read() for m in tar if m.isfile()}  # type: ignore[union-attr]


def docker_archive(
    layers: Mapping[str, bytes], tags: list[str] | None, diffs: list[str] | None = None
) -> bytes:
    """Return what `docker save` writes for an image of these layer files."""
    ids = diffs if diffs is not None else [digest_of(data) for data in layers.values()]
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
    listed = [{"Config": "c.json", "RepoTags": tags, "Layers": list(layers)}]
    files = {"c.json": json.dumps(config).encode(), **layers}
    return tree(files | {"manifest.json": json.dumps(listed).encode()})


@pytest.fixture
def other(tmp_path: Path) -> Store:
    """Give a second store."""
    return Store(tmp_path / "other")


@pytest.fixture
def full(store: Store, painter: Painter) -> Store:
    """Give a store with an image x:1 of two platforms."""
    layers = [{"base": b"b" * 5000}, {"a": b"1"}]
    index = painter.index(painter.image(layers), painter.image({"a": b"2"}, ARM64))
    store.put(X, index)
    return store


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("docker", [True, False], ids=["docker", "oci"])
def test_there_and_back(store: Store, other: Store, compression: str, *, docker: bool) -> None:
    painter = Painter(store, docker=docker, compression=compression)
    index = painter.index(painter.image({"a": b"1"}), painter.image({"a": b"2"}, ARM64))
    store.put(X, index)
    data = exported(store)
    assert imported(other, data) == (ImportedImage(X, index),)
    assert find_image(other, X, ARM64).descriptor == find_image(store, X, ARM64).descriptor
    assert exported(other) == data
    report = verify_store(other, NullReporter())
    assert (report.problems, report.orphans) == ([], 0)


def test_one_platform(full: Store, other: Store) -> None:
    imported(other, exported(full, platform=ARM64))
    assert find_image(other, X, ARM64).digest == find_image(full, X, ARM64).digest
    with pytest.raises(ImageError, match="has linux/arm64, not linux/amd64"):
        find_image(other, X, AMD64)


def test_another_name(full: Store, other: Store) -> None:
    new = Reference.parse("reg.example.com/y:2")
    imported(other, exported(full, name=new))
    assert [e.name for e in other.names().entries] == ["reg.example.com/y:2"]
    imported(other, exported(full), name=X)
    assert find_image(other, X, AMD64).digest == find_image(other, new, AMD64).digest


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_the_archive_of_docker(store: Store, other: Store, compression: str) -> None:
    painter = Painter(store, compression=compression)
    store.put(X, painter.image([{"a": b"1"}, {"b": b"2"}, {"a": b"1"}]))
    data = exported(store, ArchiveFormat.DOCKER, platform=AMD64)
    assert exported(store, ArchiveFormat.DOCKER, platform=AMD64) == data
    (item,) = json.loads(members(data)["manifest.json"])
    assert item["RepoTags"] == [str(X)]
    assert len(item["Layers"]) == 3
    assert len(members(data)) == 4
    imported(other, data)
    mine, theirs = find_image(store, X, AMD64), find_image(other, X, AMD64)
    assert mine.config == theirs.config
    assert members(other.open(theirs.manifest.layers[1]).read()) == {"b": b"2"}


def test_the_files_of_an_image(full: Store) -> None:
    data = exported(full, ArchiveFormat.FILESYSTEM, platform=AMD64)
    assert members(data) == {"a": b"1", "base": b"b" * 5000}
    assert exported(full, ArchiveFormat.FILESYSTEM, platform=AMD64) == data


@pytest.mark.parametrize("pack", [gzip.compress, bytes], ids=["gzip", "plain"])
def test_a_compressed_archive(full: Store, other: Store, pack: Callable[[bytes], bytes]) -> None:
    assert imported(other, pack(exported(full)))


def test_a_zstd_archive_through_a_pipe(full: Store, other: Store) -> None:
    import zstandard

    class Pipe(io.BytesIO):
        def seek(self, *_: object) -> int:
            raise OSError("a pipe")

    data = zstandard.ZstdCompressor().compress(exported(full))
    assert import_archive(other, ArchiveInput(Pipe(data), "test"), NullReporter())


def test_what_is_there_is_not_written_again(full: Store) -> None:
    data = exported(full)
    before = {p: p.stat().st_ino for p in full.layout.blobs.iterdir()}
    imported(full, data)
    assert {p: p.stat().st_ino for p in full.layout.blobs.iterdir()} == before


def test_an_index_that_lists_more_than_is_there(full: Store, other: Store) -> None:
    arm = find_image(full, X, ARM64)
    for part in (arm.descriptor, arm.manifest.config, *arm.manifest.layers):
        full.path(part.digest).unlink(missing_ok=True)
    imported(other, exported(full))
    assert find_image(other, X, AMD64)


def test_an_incomplete_image_is_not_exported(full: Store) -> None:
    full.path(find_image(full, X, ARM64).manifest.layers[0].digest).unlink()
    with pytest.raises(ImageError, match="not complete"):
        exported(full)
    assert exported(full, platform=AMD64)


def test_a_wrong_blob_is_not_exported(full: Store) -> None:
    path = full.path(find_image(full, X, AMD64).manifest.layers[0].digest)
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(ImageError) as caught:
        exported(full)
    assert caught.value.diagnostics[0].code is images.CORRUPT_BLOB
    assert not path.exists()


# Names


def layout(store: Store, *annotations: Mapping[str, str]) -> bytes:
    """Return an archive whose index.json has the image once with each of the annotations."""
    files = members(exported(store))
    index = json.loads(files["index.json"])
    (entry,) = index["manifests"]
    index["manifests"] = [entry | {"annotations": dict(a)} for a in annotations]
    return tree(files | {"index.json": json.dumps(index).encode()})


def test_names_of_an_archive(full: Store, other: Store) -> None:
    both = {media_types.CONTAINERD_NAME: "docker.io/library/a:1", media_types.REF_NAME: "1"}
    imported(other, layout(full, both, {media_types.REF_NAME: "b:2"}))
    names = [e.name for e in other.names().entries]
    assert names == ["docker.io/library/a:1", "docker.io/library/b:2"]
    assert other.names().entries[1].descriptor.annotations == {
        media_types.REF_NAME: "docker.io/library/b:2",
        media_types.CONTAINERD_NAME: "docker.io/library/b:2",
    }


@pytest.mark.parametrize(
    "annotations", [{}, {media_types.REF_NAME: "latest"}, {media_types.REF_NAME: "1.27"}]
)
def test_an_archive_without_full_names(
    full: Store, other: Store, annotations: dict[str, str]
) -> None:
    data = layout(full, annotations)
    with pytest.raises(ImageError, match="--name"):
        imported(other, data)
    assert list(other.layout.blobs.iterdir()) == []
    imported(other, data, name=X)
    assert find_image(other, X, AMD64)


def test_some_images_without_names_are_left_out_with_a_warning(
    store: Store, painter: Painter, other: Store
) -> None:
    named, nameless = painter.image({"a": b"1"}), painter.image({"a": b"2"})
    store.put(X, named)
    files = members(exported(store))
    index = json.loads(files["index.json"])
    index["manifests"].append(nameless.as_json())
    blobs = {f"blobs/sha256/{p.name}": p.read_bytes() for p in store.layout.blobs.iterdir()}
    data = tree(files | blobs | {"index.json": json.dumps(index).encode()})
    recorder = EventRecorder()
    import_archive(other, ArchiveInput(io.BytesIO(data), "test"), recorder)
    assert [e.diagnostic.code for e in recorder.events if isinstance(e, WarningEmitted)] == [
        images.BAD_ARCHIVE
    ]
    assert not other.has(nameless)
    with pytest.raises(ImageError, match="holds 2 images"):
        imported(other, data, name=X)


def test_names_of_docker(other: Store) -> None:
    layer = tree({"a": b"1"})
    imported(other, docker_archive({"l/layer.tar": layer}, ["app:1", "example/app:2"]))
    assert [e.name for e in other.names().entries] == [
        "docker.io/library/app:1",
        "docker.io/example/app:2",
    ]
    with pytest.raises(ImageError, match="--name"):
        imported(other, docker_archive({"l/layer.tar": layer}, None))
    with pytest.raises(ImageError, match="not an image name"):
        imported(other, docker_archive({"l/layer.tar": layer}, ["Not A Name"]))


# Hostile archives


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return archives that must be refused, and a part of what is said about each."""
    layer = tree({"a": b"1"})
    digest = digest_of(layer)
    good = docker_archive({"l": layer}, ["x:1"])
    entry = {"mediaType": media_types.OCI_MANIFEST, "digest": digest, "size": len(layer)}
    named = {"annotations": {media_types.REF_NAME: "docker.io/library/x:1"}}

    def layout_of(index: object, **files: bytes) -> bytes:
        return tree({"index.json": json.dumps(index).encode(), **files})

    def linked(kind: bytes, target: str) -> bytes:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            link = tarfile.TarInfo("l")
            link.type, link.linkname = kind, target
            tar.addfile(link)
            for name, content in members(good).items():
                if name != "l":
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
        return out.getvalue()

    bomb = gzip.compress(bytes(1 << 20))
    return {
        "empty": (b"", "it is empty"),
        "text": (b"hello" * 1000, "it is no tar archive"),
        "no-images": (tree({"a": b"1"}), "neither"),
        "cut": (good[: len(good) // 2], "cut off"),
        "cut-gzip": (gzip.compress(good)[:-20], "cut off"),
        "xz": (b"\xfd7zXZ\x00" + bytes(100), "xz"),
        "no-list": (tree({"index.json": b"3"}), "not a JSON object"),
        "no-json": (tree({"manifest.json": b"{"}), "not JSON"),
        "no-map": (tree({"manifest.json": b"[3]"}), "not a list of images"),
        "nothing": (tree({"manifest.json": b"[]"}), "no image"),
        "deep": (tree({"manifest.json": b"[" * 100_000}), "not JSON"),
        "path-as-digest": (
            layout_of({"manifests": [entry | {"digest": "sha256:../../x"} | named]}),
            "not a sha256 digest",
        ),
        "missing-manifest": (layout_of({"manifests": [entry | named]}), "is not in it"),
        "wrong-blob": (
            layout_of({"manifests": []}, **{f"blobs/sha256/{'0' * 64}": b"x"}),
            "has the digest",
        ),
        "odd-blob": (layout_of({"manifests": []}, **{"blobs/sha256/x": b"x"}), "not the name"),
        "missing-layer": (docker_archive({"l": layer}, ["x:1"]).replace(b"l\0", b"m\0", 1), ""),
        "other-layer": (
            docker_archive({"l": layer}, ["x:1"], [digest_of(b"")]),
            "layer 1 does not match",
        ),
        "fewer-layers": (docker_archive({"l": layer}, ["x:1"], []), "lists 0 layers"),
        "other-packed": (
            docker_archive({"l": gzip.compress(layer)}, ["x:1"], [digest_of(b"")]),
            "layer 1 does not match",
        ),
        "circle": (linked(tarfile.SYMTYPE, "l"), "circle"),
        "link-outside": (linked(tarfile.SYMTYPE, "../../../etc/passwd"), "is not in it"),
        "hard-link-outside": (linked(tarfile.LNKTYPE, "/etc/passwd"), "is not in it"),
        "config-of-text": (
            tree({"c": b"x", "manifest.json": b'[{"Config": "c", "Layers": []}]'}),
            "not JSON",
        ),
        "no-config": (tree({"manifest.json": b'[{"Layers": []}]'}), "has no Config"),
        "layers-of-numbers": (
            tree({"c.json": b"{}", "manifest.json": b'[{"Config": "c.json", "Layers": [1]}]'}),
            "not a list of texts",
        ),
        "no-tar-in-gzip": (bomb, ""),
    }


@pytest.mark.parametrize("case", sorted(hostile()))
def test_hostile_archives_are_refused_and_leave_nothing(store: Store, case: str) -> None:
    data, said = hostile()[case]
    with pytest.raises(ImageError) as caught:
        imported(store, data)
    assert said in str(caught.value)
    assert list(store.layout.blobs.iterdir()) == []
    assert list(store.layout.tmp.iterdir()) == []
    assert store.names().entries == ()
    assert imported(store, docker_archive({"l": tree({"a": b"1"})}, ["x:1"]))


def test_paths_that_lead_out_are_only_names(store: Store, tmp_path: Path) -> None:
    layer = tree({"a": b"1"})
    imported(store, docker_archive({"../../../l.tar": layer, "/abs/l.tar": layer}, ["x:1"]))
    assert not (tmp_path / "l.tar").exists()
    assert len(find_image(store, X, AMD64).manifest.layers) == 2


def test_links_between_layers(store: Store) -> None:
    layer = tree({"a": b"1"})
    data = docker_archive({"a/layer.tar": layer, "b/layer.tar": layer}, ["x:1"])
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in members(data).items():
            info = tarfile.TarInfo(name)
            if name == "b/layer.tar":
                info.type, info.linkname = tarfile.SYMTYPE, "../a/layer.tar"
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    imported(store, out.getvalue())
    assert len({d.digest for d in find_image(store, X, AMD64).manifest.layers}) == 1


def test_files_of_no_use_do_not_stay(store: Store) -> None:
    layer = tree({"a": b"1"})
    data = docker_archive({"l": layer}, ["x:1"])
    imported(store, tree(members(data) | {"junk": b"junk" * 1000}))
    assert verify_store(store, NullReporter()).orphans == 0


def test_a_failed_import_does_not_take_what_others_need(full: Store) -> None:
    files = members(exported(full))
    files["index.json"] = b"garbage"
    with pytest.raises(ImageError):
        imported(full, tree(files))
    assert find_image(full, X, AMD64)
    assert find_image(full, X, ARM64)


def test_a_platform_that_is_not_there(full: Store) -> None:
    with pytest.raises(ImageError, match="not linux/riscv64"):
        exported(full, platform=Platform("linux", "riscv64"))


def test_damaged_archives_raise_nothing_but_ours(full: Store, other: Store) -> None:
    chance = random.Random(3)
    whole = {
        "oci": exported(full),
        "docker": docker_archive({"l": tree({"a": b"1"})}, ["x:1"]),
        "gzip": gzip.compress(exported(full), mtime=0),
    }
    for data in whole.values():
        for _ in range(60):
            damaged = bytearray(data)
            for _ in range(chance.randrange(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                imported(other, bytes(damaged[: chance.randrange(len(damaged)) + 1]))
            except DolmenError:
                continue
    assert verify_store(other, NullReporter()).clean
