"""Dependencies between packages, and the build order."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile import read_dockerfile
from assembler.errors import DolmenError, PackageError
from assembler.packages.build_arguments import (
    BuildArguments,
    place_of_reference,
    referenced_directories,
)
from assembler.packages.package_reader import read_package

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.config import Package
    from assembler.diagnostics import Place
    from assembler.dockerfile import Dockerfile

_FROM = re.compile(r"from=([^\s,]+)")


@dataclass(frozen=True, slots=True)
class PackageNode:
    """A package to build: requested, or needed by a requested one."""

    package: Package
    requested: bool
    # The directories of the packages that are built before it.
    needs: tuple[Path, ...] = ()
    # None for a recipe, and if it cannot be read: the build reports the error.
    dockerfile: Dockerfile | None = None

    @property
    def key(self) -> Path:
        """Return the unique key of the package."""
        return self.package.directory.resolve()


def order_by_dependency(
    requested: Sequence[Package], arguments: BuildArguments, dockerfile: str | None = None
) -> tuple[PackageNode, ...]:
    """Return the packages and the local ones that they need, in build order.

    `arguments` and `dockerfile` apply to the requested packages only.
    """
    found: dict[Path, PackageNode] = {}
    needs: dict[Path, set[Path]] = {}
    stack = [(package, True) for package in requested][::-1]
    while stack:
        package, is_requested = stack.pop()
        key = package.directory.resolve()
        if key in found:
            continue
        parsed = _read_dockerfile(package, dockerfile if is_requested else None)
        found[key] = PackageNode(package, is_requested, dockerfile=parsed)
        own = arguments if is_requested else BuildArguments()
        directories = [
            d for d in referenced_directories(package, own) if (d / "build.yml").is_file()
        ]
        needs[key] = {d.resolve() for d in directories}
        stack += [(read_package(d), False) for d in directories]
    by_name = {f"{n.package.build.org}/{n.package.build.image}": key for key, n in found.items()}
    for key, node in found.items():
        if node.dockerfile is not None:
            needs[key] |= _named_packages(node.dockerfile, by_name).keys() - {key}
    sorter = TopologicalSorter({key: sorted(needs[key]) for key in found})
    try:
        order = tuple(sorter.static_order())
    except CycleError as error:
        # Each of the list is needed by the next one.
        circle = [found[key] for key in reversed(error.args[1])]
        names = " needs ".join(str(node.package.directory) for node in circle)
        raise PackageError.of(
            packages.DEPENDENCY_CIRCLE,
            f"packages depend on each other in a circle: {names}",
            place=_place_of_need(circle[0], circle[1].key, by_name),
        ) from error
    return tuple(replace(found[key], needs=tuple(sorted(needs[key]))) for key in order)


def _read_dockerfile(package: Package, name: str | None) -> Dockerfile | None:
    if package.build.debs is None:
        with suppress(DolmenError):
            return read_dockerfile(package.directory / (name or package.build.dockerfile))
    return None


def _place_of_need(node: PackageNode, key: Path, by_name: Mapping[str, Path]) -> Place | None:
    """Return where a package names another one; None for an argument of the command line."""
    place = place_of_reference(node.package, key)
    if place is None and node.dockerfile is not None:
        return _named_packages(node.dockerfile, by_name).get(key)
    return place


def _named_packages(dockerfile: Dockerfile, by_name: Mapping[str, Path]) -> dict[Path, Place]:
    """Return the packages whose images a Dockerfile names, and where; variables are ignored."""
    found: dict[Path, Place] = {}
    for instruction in dockerfile.instructions:
        names = [v for k, v in instruction.flags.items() if k == "from"]
        if instruction.keyword == "FROM":
            names += instruction.words[:1]
        names += _FROM.findall(instruction.flags.get("mount", ""))
        for name in names:
            key = by_name.get(name.partition("@")[0].rpartition(":")[0] or name)
            if key is not None:
                found.setdefault(key, instruction.place(name))
    return found
