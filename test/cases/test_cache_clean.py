"""A user frees space in the store: `dolmen cache rm` and `dolmen cache clean`."""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from assembler.oci.store import Store
from support.pictures import Painter

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

DAY = 86400


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with images old:1 and new:1, and an old blob that belongs to none."""
    store = Store(tmp_path / "cache")
    painter = Painter(store)
    store.put("docker.io/library/old:1", painter.image({"a": os.urandom(1000)}))
    store.add_bytes(b"orphan")
    for path in store.layout.blobs.iterdir():
        os.utime(path, (time.time() - 40 * DAY,) * 2)
    store.put("docker.io/library/new:1", painter.image({"a": os.urandom(1000)}))
    return store


def names(store: Store) -> list[str]:
    return [e.name for e in store.names().entries]


def blobs(store: Store) -> int:
    return len(list(store.layout.blobs.iterdir()))


def test_remove_by_name(dolmen: Dolmen, store: Store) -> None:
    done = dolmen.run("cache", "rm", "old:1", "--cache", store.root)
    assert done.returncode == 0
    assert "removed docker.io/library/old:1" in done.stdout
    assert names(store) == ["docker.io/library/new:1"]
    assert blobs(store) == 4


def test_unknown_names_are_all_reported_and_nothing_is_removed(
    dolmen: Dolmen, store: Store
) -> None:
    done = dolmen.run("cache", "rm", "old:1", "old:2", "nope", "--cache", store.root)
    assert done.returncode == 1
    assert "docker.io/library/old:2 is not in the store" in done.stderr
    assert "docker.io/library/nope:latest is not in the store" in done.stderr
    assert len(names(store)) == 2


def test_names_of_other_tools_are_removed(dolmen: Dolmen, store: Store) -> None:
    text = store.layout.index.read_text().replace("docker.io/library/old:1", "Some Name")
    store.layout.index.write_text(text)
    assert dolmen.run("cache", "rm", "Some Name", "--cache", store.root).returncode == 0
    assert names(store) == ["docker.io/library/new:1"]


def test_clean_removes_blobs_without_an_image(dolmen: Dolmen, store: Store) -> None:
    done = dolmen.run("cache", "clean", "--dry-run", "--cache", store.root)
    assert "would free 6 B: 1 blob," in done.stdout
    assert blobs(store) == 7
    assert "freed 6 B: 1 blob," in dolmen.run("cache", "clean", "--cache", store.root).stdout
    assert (blobs(store), len(names(store))) == (6, 2)


@pytest.mark.parametrize("options", [["--older-than", "30d"], ["--keep-bytes", "2kB"]])
def test_clean_removes_images_unused_for_long(
    dolmen: Dolmen, store: Store, options: list[str]
) -> None:
    done = dolmen.run("cache", "clean", *options, "--cache", store.root)
    assert "removed docker.io/library/old:1" in done.stdout
    assert (blobs(store), names(store)) == (3, ["docker.io/library/new:1"])


def test_clean_removes_what_a_killed_writer_of_the_index_left(dolmen: Dolmen, store: Store) -> None:
    left, mine = (store.root / f".index.copy.0123456789a{n}.part" for n in "bc")
    left.touch()
    with mine.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert dolmen.run("cache", "--cache", store.root, "clean").returncode == 0
        assert not left.exists()
        assert mine.exists()


def test_clean_everything(dolmen: Dolmen, store: Store) -> None:
    dolmen.run("cache", "clean", "--all", "--cache", store.root, check=True)
    assert (blobs(store), names(store)) == (0, [])
    assert json.loads((store.root / "oci-layout").read_text())


@pytest.mark.parametrize("options", [["--keep-bytes", "much"], ["--older-than", "soon"]])
def test_invalid_sizes_and_ages_are_refused(
    dolmen: Dolmen, store: Store, options: list[str]
) -> None:
    done = dolmen.run("cache", "clean", *options, "--cache", store.root)
    assert done.returncode == 2
    assert options[0] in done.stderr


@pytest.mark.slow
def test_an_unreachable_registry_publishes_nothing(dolmen: Dolmen, store: Store) -> None:
    store.put("localhost:1/x:1", store.names().entries[0].descriptor)
    store.remove(["docker.io/library/old:1", "docker.io/library/new:1"])
    done = dolmen.run("cache", "rm", "--published-only", "localhost:1/x:1", "--cache", store.root)
    assert names(store) == ["localhost:1/x:1"]
    assert "counts as not published" in done.stderr
