"""Catalogues at registries: artifacts that are not what they say."""

from __future__ import annotations

import json
import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from assembler.config import ConfigInput
from assembler.errors import DolmenError, PackageError
from assembler.git_sources import (
    GitReferences,
    LockedCommit,
    artifact,
    publish_packages,
    write_lock,
)
from assembler.oci import ImageSources, Reference, Store
from support.git_repositories import Repository

NAME = Reference.parse("reg.example.org/packages:1")


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSources:
    """Give a store with an artifact, which no registry has."""
    monkeypatch.setattr(artifact, "push", lambda *_: ())
    sources = ImageSources(store=tmp_path / "store", offline=True)
    publish_packages(Repository.create(tmp_path / "r").path, NAME, sources)
    return sources


def change(store: Store, **changes: object) -> Reference:
    """Return the name of an artifact with a changed manifest."""
    (entry,) = store.names().named(str(NAME))
    document = json.loads(store.read(entry.descriptor)) | changes
    new = store.add_bytes(json.dumps(document).encode(), entry.descriptor.media_type)
    pinned = replace(NAME, tag="", digest=new.digest)
    store.put(pinned, new)
    return pinned


def find(sources: ImageSources, name: Reference, tmp_path: Path) -> Path | None:
    given = ConfigInput(str(tmp_path / "image.yml"), b"", tmp_path)
    return GitReferences(sources).directory(f"@oci:{name}//pkg/one", given)


def test_an_artifact_of_the_store(sources: ImageSources, tmp_path: Path) -> None:
    store = sources.open_store()
    (entry,) = store.names().named(str(NAME))
    commit = json.loads(store.read(entry.descriptor))["annotations"][artifact._REVISION]
    lock = tmp_path / "image.lock"
    write_lock(lock, {f"@oci:{NAME}": LockedCommit.now(commit, entry.descriptor.digest)})
    found = find(sources, NAME, tmp_path)
    assert found is not None
    assert (found / "file").read_text() == "one"


def test_a_lock_with_another_commit(sources: ImageSources, tmp_path: Path) -> None:
    (entry,) = sources.open_store().names().named(str(NAME))
    new = LockedCommit.now("1" * 40, entry.descriptor.digest)
    write_lock(tmp_path / "image.lock", {f"@oci:{NAME}": new})
    with pytest.raises(PackageError, match=r"DM0762.*not 1111"):
        find(sources, NAME, tmp_path)


def test_a_commit_that_the_pack_lacks(sources: ImageSources, tmp_path: Path) -> None:
    name = change(sources.open_store(), annotations={artifact._REVISION: "1" * 40})
    given = ConfigInput("<stdin>", b"", tmp_path)
    with pytest.raises(PackageError, match=r"DM0761"):
        GitReferences(sources).directory(f"@oci:{name}//pkg/one", given)
    assert not list((sources.store / "git").glob("1*"))


@pytest.mark.parametrize("content", [b"", b"PACK", b"x" * 1000])
def test_a_broken_pack(sources: ImageSources, tmp_path: Path, content: bytes) -> None:
    store = sources.open_store()
    layer = store.add_bytes(content, artifact.PACK_TYPE)
    name = change(store, layers=[layer.as_json()])
    given = ConfigInput("<stdin>", b"", tmp_path)
    with pytest.raises(DolmenError, match=r"DM0761"):
        GitReferences(sources).directory(f"@oci:{name}//pkg/one", given)


@pytest.mark.parametrize(
    "changes", [{"layers": []}, {"annotations": {}}, {"annotations": {artifact._REVISION: "main"}}]
)
def test_manifests_of_other_things(
    sources: ImageSources, tmp_path: Path, changes: dict[str, object]
) -> None:
    name = change(sources.open_store(), **changes)
    given = ConfigInput("<stdin>", b"", tmp_path)
    with pytest.raises(PackageError, match=r"DM0766.*has no packages"):
        GitReferences(sources).directory(f"@oci:{name}//pkg/one", given)


def test_yaml_from_a_url_names_no_catalogue(sources: ImageSources) -> None:
    given = ConfigInput("https://h.org/i.yml", b"", None, "https://h.org/i.yml")
    with pytest.raises(PackageError, match=r"DM0760.*may not use oci:"):
        GitReferences(sources).directory(f"@oci:{NAME}//pkg/one", given)


def test_a_pack_is_not_held_in_memory(
    tmp_path: Path, sources: ImageSources, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository.create(tmp_path / "large")
    (repository.path / "noise").write_bytes(os.urandom(24 << 20))
    repository.commit()
    # A setting that divides packs.
    repository.git("config", "pack.packSizeLimit", "1m")
    # Reading the names of a store allocates room for the largest list of them.
    sources = replace(sources, store=Path("new"))
    monkeypatch.chdir(tmp_path)
    tracemalloc.start()
    try:
        name = publish_packages(repository.path, NAME, sources)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert list((sources.store / "tmp").glob("dolmen-*")) == []
    commit = repository.git("rev-parse", "HEAD")
    lock = {f"@oci:{NAME}": LockedCommit.now(commit, name.digest)}
    write_lock(tmp_path / "image.lock", lock)
    found = find(sources, NAME, tmp_path)
    assert found is not None
    assert found.parents[1].joinpath("noise").stat().st_size == 24 << 20
    monkeypatch.setattr(artifact, "_MAX_PACK", 1 << 20)
    with pytest.raises(PackageError, match=r"DM0766.*the limit is"):
        publish_packages(repository.path, NAME, sources)
