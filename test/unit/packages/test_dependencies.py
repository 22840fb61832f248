"""Packages are built after the ones that they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.packages import BuildArguments, read_package
from assembler.packages.dependencies import order_by_dependency

if TYPE_CHECKING:
    from pathlib import Path


def make_package(parent: Path, name: str, build_yml: str = "", **files: str) -> Path:
    directory = parent / name
    directory.mkdir()
    (directory / "build.yml").write_text(f"image: {name}\norg: example\n{build_yml}")
    for file, text in files.items():
        (directory / file).write_text(text)
    return directory


def test_another_dockerfile_is_that_of_the_requested_packages_alone(tmp_path: Path) -> None:
    arguments = "buildArgs: ['TOOL=@dolmen:pkg:../tool', 'LIBRARY=@dolmen:pkg:../library']\n"
    app = make_package(tmp_path, "app", arguments, Other="FROM scratch\n")
    tool = make_package(tmp_path, "tool", Dockerfile="FROM example/library:1\n")
    library = make_package(tmp_path, "library", Dockerfile="FROM scratch\n")
    ordered = order_by_dependency([read_package(app)], BuildArguments(), "Other")
    assert [node.key for node in ordered] == [library, tool, app]
    assert {node.key: node.needs for node in ordered}[tool] == (library,)
