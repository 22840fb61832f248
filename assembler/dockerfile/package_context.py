"""The build context of a package: its directory and its extra sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.context_tree import ContextTree
from assembler.dockerfile.dockerignore import read_ignore_file
from assembler.errors import PackageError

if TYPE_CHECKING:
    from assembler.config import Package


def read_package_context(package: Package, time: int, dockerfile: str) -> ContextTree:
    """Return the files that a package may use; `time` is their time, in seconds since 1970."""
    context = ContextTree(time)
    is_ignored = read_ignore_file(package.directory, dockerfile)
    context.add_directory(package.directory, is_ignored=is_ignored)
    for i, source in enumerate(package.build.extra_sources):
        directory = package.directory / source.source
        if not directory.is_dir():
            raise PackageError.of(
                packages.BAD_SOURCE,
                f"the extra source {source.source} is not a directory",
                place=package.build.positions.place_of("extra-sources", i),
            )
        context.add_directory(directory, str(source.destination))
    return context
