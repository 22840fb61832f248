"""The sources of the container image are packages as others, and fit the environment in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.packages import read_package
from release.container import SOURCES
from release.environment import PLATFORMS
from release.tree import File, write_tree

if TYPE_CHECKING:
    from pathlib import Path


def test_both_packages_are_for_the_architectures_of_the_environments() -> None:
    for name in ("base", "dolmen"):
        package = read_package(SOURCES / name)
        assert sorted(package.build.arches) == sorted(PLATFORMS)


def test_a_tree_is_written_with_its_modes_and_links(tmp_path: Path) -> None:
    files = {"bin/tool": File(b"#!/bin/sh\n", 0o755), "bin/link": File(link="tool")}
    write_tree(files, tmp_path)
    assert (tmp_path / "bin/link").read_bytes() == b"#!/bin/sh\n"
    assert (tmp_path / "bin/tool").stat().st_mode & 0o777 == 0o755
