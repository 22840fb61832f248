"""A package that cannot be built stops only the packages that need it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci.platform import Platform
from assembler.packages import Naming, PackageBuildOptions, build_packages, read_package
from support.dockerfiles import AMD64, Kitchen

if TYPE_CHECKING:
    from pathlib import Path

ARM64 = Platform.parse("linux/arm64")


def test_a_package_without_a_valid_tag_does_not_stop_others(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    build_yml = "image: other\norg: example\ntag: a b\n"
    directories = [
        kitchen.package("FROM scratch\n", None, build_yml, "other"),
        kitchen.package("FROM scratch\n"),
    ]
    packages = [read_package(directory) for directory in directories]
    options = PackageBuildOptions(naming=Naming(hash="h"), sources=kitchen.sources)
    result = build_packages(packages, options, kitchen.reporter)
    assert [package.built for package in result.packages] == [(), (AMD64, ARM64)]
    assert "invalid tag 'a b'" in result.problems[0].message
