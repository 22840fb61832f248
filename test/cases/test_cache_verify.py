"""A user verifies the store: `dolmen cache verify`."""

from __future__ import annotations

import json
import os
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
    assert "1 images, 3 blobs, 0 segments" in done.stdout
    found = json.loads(dolmen.run("cache", "verify", "--json", "--cache", store.root).stdout)
    assert (found["clean"], found["blobs"], found["problems"]) == (True, 3, [])


@pytest.mark.parametrize("place", [0, 0.3, 0.7, 0.99])
def test_a_flipped_bit_of_a_segment(
    place: float, dolmen: Dolmen, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "image.yml").write_text("init: ['localhost:1/x:1']\n")

    def build() -> tuple[str, bytes]:
        words = ("build", "--offline", "--force", "--format", "tar", "--cache", store.root)
        done = dolmen.run(*words, "image.yml", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stderr, (tmp_path / "image.tar").read_bytes()

    def damage() -> None:
        """Flip a bit of the segment, and keep its times."""
        (path,) = store.layout.segments.iterdir()
        data, status = bytearray(path.read_bytes()), path.stat()
        data[int(len(data) * place)] ^= 4
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    _, expected = build()
    damage()
    messages, output = build()
    assert "warning[DM0625]" in messages
    assert output == expected
    (name,) = (path.name for path in store.layout.segments.iterdir())
    found = dolmen.run("cache", "verify", "--cache", store.root)
    assert (found.returncode, found.stdout.count("1 segments")) == (0, 1)
    damage()
    found = dolmen.run("cache", "verify", "--cache", store.root)
    assert (found.returncode, found.stdout.count("0 segments")) == (0, 1)
    assert f"segment {name}: the content does not match the checksum; removed" in found.stdout
    messages, output = build()
    assert "DM0625" not in messages
    assert output == expected


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
