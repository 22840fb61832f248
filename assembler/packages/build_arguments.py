"""Build arguments: what build.yml and the user give, and what is known of the package."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.dockerfile.stages import PROXIES
from assembler.errors import PackageError, wrap_os_errors
from assembler.packages.build_file_reader import read_package
from assembler.packages.git import WorkTree
from assembler.packages.tags import Naming, name_of

if TYPE_CHECKING:
    from assembler.config.package_model import Package
    from assembler.packages.tags import PackageName

_ONE = re.compile(r"@(?:lkt|dolmen):pkg:(.+)", re.DOTALL)
_SEVERAL = re.compile(r"@(?:lkt|dolmen):pkgs:(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Commit:
    """What git tells of a package: nothing of it outside of a repository."""

    revision: str = ""
    # When the package was last changed, in seconds since 1970.
    time: int = 0
    dirty: bool = False

    @property
    def go_version(self) -> str:
        """Return the version that Go would give a module of this commit."""
        if not self.revision:
            return ""
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self.time))
        return f"v0.0.0-{stamp}-{self.revision[:12]}" + ("+dirty" if self.dirty else "")


@dataclass(frozen=True, slots=True)
class BuildArguments:
    """Build arguments from the command line and the environment."""

    # KEY=VALUE, from files and options, later ones count.
    pairs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def commit_of(package: Package, name: PackageName, commit: str) -> Commit:
    """Return what git tells of the package and its extra sources."""
    tree = WorkTree.around(package.directory)
    if tree is None or not name.hash:
        return Commit()
    try:
        revision = tree.revision(commit)
    except PackageError:
        return Commit()  # a hash was given, and there is no commit yet
    moments = [tree.changed_at(commit)]
    for source in package.build.extra_sources:
        other = WorkTree.around(package.directory / source.source)
        if other is not None:
            moments.append(other.changed_at(commit))
    return Commit(revision, max(moments), name.dirty)


def arguments_of(
    package: Package, name: PackageName, commit: Commit, given: BuildArguments, naming: Naming
) -> dict[str, str]:
    """Return all build arguments of a package, whether its Dockerfile knows them or not."""
    found = {
        "SOURCE": package.build.gitrepo,
        "REVISION": commit.revision,
        "GOPKGVERSION": commit.go_version,
        "PKG_HASH": name.hash,
        "PKG_IMAGE": str(name),
        "SOURCE_DATE_EPOCH": str(commit.time),
    }
    for proxy in PROXIES:
        for spelling in (proxy, proxy.lower()):
            if given.environment.get(spelling):
                found[spelling] = given.environment[spelling]
    for i, text in enumerate(package.build.build_args):
        try:
            found |= dict(_resolved(package, text, naming))
        except PackageError as error:
            raise error.with_place(package.build.positions.place_of("buildArgs", i)) from error
    for text in given.pairs:
        found |= dict(_resolved(package, text, naming))
    return found


def read_arguments(path: Path) -> tuple[str, ...]:
    """Read a file with a build argument on every line."""
    with wrap_os_errors(path, "read"):
        lines = path.read_text("utf-8", "replace").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "=" not in text:
            raise PackageError.of(
                packages.BAD_BUILD_ARGUMENT, f"{path}:{number}: {text!r} is not KEY=VALUE"
            )
        found.append(text)
    return tuple(found)


def local_packages(package: Package, given: BuildArguments = BuildArguments()) -> list[Path]:
    """Return the directories of the packages that build arguments name."""
    found: list[Path] = []
    for text in (*package.build.build_args, *given.pairs):
        value = text.partition("=")[2]
        one, several = _ONE.fullmatch(value), _SEVERAL.fullmatch(value)
        if one:
            found.append(package.directory / one[1])
        elif several:
            found += _found(package, several[1])
    return found


def _resolved(package: Package, text: str, naming: Naming) -> Iterator[tuple[str, str]]:
    key, _, value = text.partition("=")
    one, several = _ONE.fullmatch(value), _SEVERAL.fullmatch(value)
    if one:
        yield key, _name(package.directory / one[1], naming)
    elif several:
        directories = _found(package, several[1])
        if not directories:
            raise PackageError.of(
                packages.BAD_BUILD_ARGUMENT, f"no package is found by {several[1]!r}"
            )
        for directory in directories:
            name = _name(directory, naming)
            word = re.sub(r"[^A-Z0-9_]", "_", read_package(directory).build.image.upper())
            yield key.replace("%", word), name
    else:
        yield key, value


def _found(package: Package, pattern: str) -> list[Path]:
    base = Path("/") if pattern.startswith("/") else package.directory
    found = base.glob(pattern.lstrip("/").removeprefix("./"))
    return sorted(p for p in found if (p / "build.yml").is_file())


def _name(directory: Path, naming: Naming) -> str:
    """Return the name of a package; what was asked of one package's name is not asked of others."""
    return str(name_of(read_package(directory), Naming(org=naming.org)))
