"""The rounds on fresh roots find the mirror of a machine, and hand it to Dolmen as its setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from assembler.debian.sources import DebianMirrors
from fresh.run import debian_mirror

if TYPE_CHECKING:
    from pathlib import Path

URL = "http://mirror.example/debian"
SOURCES = {
    "sources.list": f"# deb http://a.example/debian sid main\ndeb [arch=amd64] {URL} sid main\n",
    "sources.list.d/debian.sources": f"Types: deb\nURIs: {URL}\nSuites: sid\nComponents: main\n",
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_mirror_of_apt_is_found(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(SOURCES[name])
    assert debian_mirror(tmp_path) == URL


def test_no_mirror_is_found_in_an_empty_directory(tmp_path: Path) -> None:
    assert debian_mirror(tmp_path, accept_expired=True) == ""


def test_expired_indexes_are_accepted_only_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(SOURCES["sources.list"])
    settings = [debian_mirror(tmp_path), debian_mirror(tmp_path, accept_expired=True)]
    sources = [DebianMirrors((text,)).entries("forky", ("main",))[0] for text in settings]
    assert [source.uri for source in sources] == [URL, URL]
    assert [source.options for source in sources] == [(), ("check-valid-until=no",)]
