"""A stamp holds exactly as long as everything it depends on is as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from assembler.stamp import Stamp, Trace, keep, key_of, known_as, still_valid

if TYPE_CHECKING:
    from pathlib import Path


def index(store: Path, **names: str) -> None:
    store.mkdir(exist_ok=True)
    manifests = [
        {"digest": digest, "annotations": {"org.opencontainers.image.ref.name": name}}
        for name, digest in names.items()
    ]
    (store / "index.json").write_text(json.dumps({"manifests": manifests}))


def kept(store: Path, source: Path, output: Path) -> str:
    key = key_of({"format": "tar"}, [b"kernel: {}"])
    names = ("a", "b")
    traces = (Trace.of(source),), (Trace.of(output),)
    keep(store, key, Stamp(names, known_as(store, names), *traces, {"outputs": ["x"]}))
    return key


def test_an_unchanged_build_is_recognised(tmp_path: Path) -> None:
    store, source, output = tmp_path / "store", tmp_path / "source", tmp_path / "output"
    index(store, a="sha256:1", c="sha256:3")
    source.write_text("s")
    output.write_text("o")
    key = kept(store, source, output)
    found = still_valid(store, key)
    assert found is not None
    assert found.result == {"outputs": ["x"]}
    index(store, a="sha256:1", c="sha256:4")
    assert still_valid(store, key), "an image that was not asked for has moved"


def test_each_change_invalidates_the_stamp(tmp_path: Path) -> None:
    store, source, output = tmp_path / "store", tmp_path / "source", tmp_path / "output"
    for change in (
        lambda: index(store, a="sha256:2"),
        lambda: index(store, a="sha256:1", b="sha256:1"),
        lambda: index(store),
        lambda: source.write_text("other"),
        source.unlink,
        lambda: output.write_text("other"),
        output.unlink,
        lambda: next((store / "stamps").iterdir()).write_text("{"),
    ):
        index(store, a="sha256:1")
        source.write_text("s")
        output.write_text("o")
        key = kept(store, source, output)
        assert still_valid(store, key)
        change()
        assert still_valid(store, key) is None


def test_options_and_texts_change_the_key() -> None:
    keys = {
        key_of({"format": "tar"}, [b"a"]),
        key_of({"format": "docker"}, [b"a"]),
        key_of({"format": "tar"}, [b"b"]),
        key_of({"format": "tar"}, [b"a", b""]),
    }
    assert len(keys) == 4


def test_the_oldest_stamps_are_removed(tmp_path: Path) -> None:
    index(tmp_path / "store")
    for n in range(260):
        keep(tmp_path / "store", key_of({"n": n}, []), Stamp((), {}, (), (), {}))
    assert len(list((tmp_path / "store" / "stamps").iterdir())) == 256
