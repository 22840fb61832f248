"""Builds at once have a directory each, and remove what builds that were killed have left."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from assembler.dockerfile.workspace import open_workspace
from assembler.oci.store import Store

if TYPE_CHECKING:
    from pathlib import Path


def test_they_come_and_go_at_the_same_time(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")

    def use(number: int) -> None:
        for _ in range(40):
            with open_workspace(store) as directory:
                (directory / str(number)).touch()
                assert [p.name for p in directory.iterdir()] == [str(number)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(8)))
    assert list((tmp_path / "store" / "building").iterdir()) == []


def test_what_was_left_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.layout.prepare()
    left = tmp_path / "store" / "building" / "left"
    left.mkdir(parents=True)
    (left / "file").touch()
    with open_workspace(store) as directory:
        assert list(left.parent.iterdir()) == [directory]
