"""The package files of a layer, in the order in which they are unpacked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.debian.control import ControlFile, parse_control
from assembler.debian.deb_file import open_deb

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A .deb file, its control file and its time."""

    path: Path
    control: ControlFile
    timestamp: int


def read_package_files(paths: Sequence[Path]) -> tuple[PackageFile, ...]:
    """Read the control files of packages, and sort them: by Replaces, then by name."""
    package_files = []
    for path in paths:
        with open_deb(path) as deb:
            package_files.append(PackageFile(path, parse_control(deb.control()), deb.timestamp))
    return _sort_by_replaces(
        sorted(package_files, key=lambda i: (i.control.name, i.control.version))
    )


def _sort_by_replaces(package_files: Sequence[PackageFile]) -> tuple[PackageFile, ...]:
    remaining = list(package_files)
    ordered: list[PackageFile] = []
    while remaining:
        for package in remaining:
            replacers = (
                other
                for other in remaining
                if other is not package and package.control.name in other.control.replaces
            )
            # Of two packages that replace each other, the first by name comes first.
            if all(r.control.name in package.control.replaces for r in replacers):
                break
        else:
            package = remaining[0]
        remaining.remove(package)
        ordered.append(package)
    return tuple(ordered)
