"""Packages that need one another: which ones a package begins with, and who comes first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.syntax import read_dockerfile
from assembler.errors import DolmenError, PackageError
from assembler.packages.build_arguments import BuildArguments, local_packages
from assembler.packages.build_file_reader import read_package

if TYPE_CHECKING:
    from assembler.config.package_model import Package

_FROM = re.compile(r"from=([^\s,]+)")


@dataclass(frozen=True, slots=True)
class PackageNode:
    """A package that is to be built, because somebody asked for it or for one that needs it."""

    package: Package
    asked: bool
    # The directories of the local packages that come before it.
    needs: tuple[Path, ...] = ()

    @property
    def key(self) -> Path:
        """Return what tells it from other packages."""
        return self.package.directory.resolve()


def in_build_order(
    asked: Sequence[Package], given: BuildArguments, dockerfile: str | None = None
) -> tuple[PackageNode, ...]:
    """Return the packages and the local ones that they need, in the order of building."""
    found: dict[Path, PackageNode] = {}
    needs: dict[Path, set[Path]] = {}
    left = [(package, True) for package in asked][::-1]
    while left:
        package, is_asked = left.pop()
        key = package.directory.resolve()
        if key in found:
            continue
        found[key] = PackageNode(package, is_asked)
        here = given if is_asked else BuildArguments()
        directories = [d for d in local_packages(package, here) if (d / "build.yml").is_file()]
        needs[key] = {d.resolve() for d in directories}
        left += [(read_package(d), False) for d in directories]
    by_name = {f"{w.package.build.org}/{w.package.build.image}": k for k, w in found.items()}
    for key, wanted in found.items():
        needs[key] |= _named(wanted.package, by_name, dockerfile) - {key}
    sorter = TopologicalSorter({key: sorted(needs[key]) for key in found})
    try:
        order = tuple(sorter.static_order())
    except CycleError as error:
        circle = " needs ".join(str(found[key].package.directory) for key in error.args[1])
        raise PackageError.of(
            packages.DEPENDENCY_CIRCLE, f"packages need one another in a circle: {circle}"
        ) from error
    return tuple(replace(found[key], needs=tuple(sorted(needs[key]))) for key in order)


def _named(package: Package, by_name: Mapping[str, Path], dockerfile: str | None) -> set[Path]:
    """Return the packages whose images the Dockerfile names, variables left aside."""
    if package.build.debs is not None:
        return set()
    try:
        read = read_dockerfile(package.directory / (dockerfile or package.build.dockerfile))
    except DolmenError:
        return set()  # it is told when the package is built
    names: list[str] = []
    for instruction in read.instructions:
        if instruction.keyword == "FROM":
            names += instruction.words[:1]
        names += [v for k, v in instruction.flags.items() if k == "from"]
        names += _FROM.findall(instruction.flags.get("mount", ""))
    plain = (name.partition("@")[0].rpartition(":")[0] or name for name in names)
    return {by_name[name] for name in plain if name in by_name}
