"""A user verifies the store: `dolmen cache verify`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from assembler.oci.reference import Reference
from assembler.oci.store import Store, find_image
from support.pictures import AMD64, Painter

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Give a store with an image x:1."""
    store = Store(tmp_path / "cache")
    store.put("localhost:1/x:1", Painter(store).image({"a": b"1"}))
    return store


def test_a_good_store(dolmen: Dolmen, store: Store) -> None:
    done = dolmen.run("cache", "verify", "--cache", store.root)
    assert done.returncode == 0
    assert "1 images, 3 blobs" in done.stdout
    found = json.loads(dolmen.run("cache", "verify", "--json", "--cache", store.root).stdout)
    assert (found["clean"], found["blobs"], found["problems"]) == (True, 3, [])


@pytest.mark.slow
def test_a_flipped_bit(dolmen: Dolmen, store: Store, tmp_path: Path) -> None:
    archive = tmp_path / "x.tar"
    dolmen.run(
        "cache", "export", "localhost:1/x:1", "-o", archive, "--cache", store.root, check=True
    )
    layer = find_image(store, Reference.parse("localhost:1/x:1"), AMD64).manifest.layers[0]
    data = bytearray(store.path(layer.digest).read_bytes())
    data[20] ^= 4
    store.path(layer.digest).write_bytes(data)
    done = dolmen.run("cache", "verify", "--cache", store.root)
    assert done.returncode == 1
    assert "error[DM0207]: localhost:1/x:1 is not complete" in done.stderr
    assert layer.digest in done.stdout
    # Nobody answers there: it stays broken, and says so.
    done = dolmen.run("cache", "verify", "--repair", "--cache", store.root)
    assert done.returncode == 1
    assert "localhost:1" in done.stderr
    assert "Traceback" not in done.stderr
    dolmen.run("cache", "import", archive, "--cache", store.root, check=True)
    assert dolmen.run("cache", "verify", "--cache", store.root).returncode == 0


def test_garbage_in_index_json(dolmen: Dolmen, store: Store) -> None:
    store.layout.index.write_text("garbage")
    assert dolmen.run("cache", "verify", "--cache", store.root).returncode == 1
    done = dolmen.run("cache", "verify", "--repair", "--cache", store.root)
    assert done.returncode == 0
    assert "quarantine/index.json.1" in done.stdout
    assert dolmen.run("cache", "ls", "--cache", store.root).returncode == 0
