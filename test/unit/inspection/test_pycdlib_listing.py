"""The program that lists further names of ISO volumes: its answers, and its limits."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from pycdlib import PyCdlib

from assembler.inspection import pycdlib_listing

if TYPE_CHECKING:
    from pathlib import Path

Listing = Callable[..., dict[str, Any]]
GAP = 1000


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """Give a file in which a volume begins after a gap; it has directories in both namespaces."""
    iso = PyCdlib()
    iso.new(joliet=3, udf="2.60")
    for number, name in enumerate("ba"):
        iso.add_directory(f"/D{number}", joliet_path=f"/{name}", udf_path=f"/{name}")
    for number, path in enumerate(("z.txt", "a/one ü", "b/two")):
        folder = {"a": "/D1", "b": "/D0"}.get(path.partition("/")[0], "")
        iso.add_fp(
            io.BytesIO(bytes(number)),
            number,
            f"{folder}/F{number}.;1",
            joliet_path=f"/{path}",
            udf_path=f"/{path}",
        )
    made = io.BytesIO()
    iso.write_fp(made)
    iso.close()
    path = tmp_path / "volume"
    path.write_bytes(bytes(GAP) + made.getvalue() + b"behind")
    return path


@pytest.fixture
def listing(
    volume: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Listing:
    """Give a function that runs the program in this process, which gets no limits."""
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda *limit: limits.append(limit))

    def run(namespace: str, most: int = 100, size: int | None = None) -> dict[str, Any]:
        handle = os.open(volume, os.O_RDONLY)
        length = volume.stat().st_size - GAP - len("behind") if size is None else size
        numbers = [str(n) for n in (handle, GAP, length, most)]
        monkeypatch.setattr(sys, "argv", ["pycdlib_listing.py", namespace, *numbers])
        limits.clear()
        try:
            pycdlib_listing.main()
        finally:
            os.close(handle)
        assert dict(limits) == {
            resource.RLIMIT_AS: (512 << 20, 512 << 20),
            resource.RLIMIT_CPU: (15, 15),
        }
        answer: dict[str, Any] = json.loads(capsys.readouterr().out)
        return answer

    return run


@pytest.mark.parametrize("namespace", ["Joliet", "UDF"])
def test_files_are_listed_by_directory(listing: Listing, namespace: str) -> None:
    assert listing(namespace) == {"files": [["z.txt", 0], ["a/one ü", 1], ["b/two", 2]]}


def test_more_files_than_wanted_are_a_problem(listing: Listing) -> None:
    assert len(listing("UDF", 3)["files"]) == 3
    assert listing("UDF", 2) == {"problem": "it has more than 4 files and directories"}
    assert listing("Joliet", 1) == {"problem": "it has more than 2 files and directories"}


def test_deep_directories_and_long_paths_are_a_problem(
    listing: Listing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pycdlib_listing, "_MAX_DEPTH", 0)
    assert listing("UDF") == {"problem": "its directories are too deep"}
    monkeypatch.setattr(pycdlib_listing, "_MAX_DEPTH", 1)
    monkeypatch.setattr(pycdlib_listing, "_MAX_PATHS", len("z.txta/one üb/two"))
    assert "files" in listing("UDF")
    monkeypatch.setattr(pycdlib_listing, "_MAX_PATHS", len("z.txta/one üb/two") - 1)
    assert listing("UDF") == {"problem": "its paths are too long"}


def test_what_pycdlib_says_of_a_broken_volume_is_the_problem(listing: Listing) -> None:
    assert listing("UDF", size=40_000)["problem"]
    assert "problem" in listing("Joliet", size=0)
