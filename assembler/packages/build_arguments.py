"""Build arguments: from build.yml, from the caller, and from the package's commit."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.catalog import catalog_directory, catalog_time
from assembler.codes import packages
from assembler.data_files import read_data_stream
from assembler.diagnostics import Place, SourceText
from assembler.dockerfile import PROXIES
from assembler.errors import PackageError, wrap_os_errors
from assembler.oci import Reference
from assembler.packages.build_file_reader import argument_problem
from assembler.packages.checked_out import CheckedOutDirectory
from assembler.packages.git import WorkTree
from assembler.packages.package_reader import read_package
from assembler.packages.tags import Naming, derive_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from assembler.config import GoPrograms, LinuxSource, Package
    from assembler.packages.tags import PackageName

_PACKAGE_VALUE = re.compile(r"@(?:lkt|dolmen):pkg:(.+)", re.DOTALL)
_CATALOG_VALUE = re.compile(r"@dolmen:([^:]*)", re.DOTALL)
_RELATIVE_VALUE = re.compile(r"(@(?:lkt|dolmen):pkgs?:)([^/].*)", re.DOTALL)
_PATTERN_VALUE = re.compile(r"@(?:lkt|dolmen):pkgs:(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Commit:
    """The commit of a package; empty outside of a git repository."""

    revision: str = ""
    # The time of this commit, in seconds since 1970.
    committed: int = 0
    # The time of the last commit that changed the package.
    time: int = 0
    dirty: bool = False

    @property
    def go_version(self) -> str:
        """Return Go's pseudo-version of a module at this commit."""
        if not self.revision:
            return ""
        stamp = time.strftime("%Y%m%d%H%M%S", time.gmtime(self.committed))
        return f"v0.0.0-{stamp}-{self.revision[:12]}" + ("+dirty" if self.dirty else "")


def _commit_outside_of_git(package: Package, name: PackageName) -> Commit:
    directory = CheckedOutDirectory.find(package.directory) if name.hash else None
    if directory is None:
        return Commit(time=catalog_time(package.directory))
    return Commit(directory.checkout.tree.commit, directory.time, directory.time)


@dataclass(frozen=True, slots=True)
class BuildArguments:
    """Build arguments from the command line and the environment."""

    # KEY=VALUE, from files and options; the last of a key counts.
    pairs: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def read_commit(package: Package, name: PackageName, commit: str) -> Commit:
    """Return the commit of the package and its extra sources."""
    tree = WorkTree.find(package.directory)
    if tree is None or not name.hash:
        return _commit_outside_of_git(package, name)
    try:
        revision = tree.revision(commit)
    except PackageError:
        return Commit()  # a given hash, and no commit yet
    times = [tree.changed_at(commit)]
    for source in package.build.extra_sources:
        other = WorkTree.find(package.directory / source.source)
        if other is not None:
            times.append(other.changed_at(commit))
    return Commit(revision, tree.committed_at(commit), max(times), name.dirty)


def collect_arguments(
    package: Package,
    name: PackageName,
    commit: Commit,
    caller_arguments: BuildArguments,
    naming: Naming,
) -> dict[str, str]:
    """Return all build arguments of a package, whether its Dockerfile uses them or not."""
    arguments = {
        "SOURCE": package.build.gitrepo,
        "REVISION": commit.revision,
        "GOPKGVERSION": commit.go_version,
        "PKG_HASH": name.hash,
        "PKG_IMAGE": f"{name.org}/{name.image}",
        "SOURCE_DATE_EPOCH": str(commit.time),
    }
    for proxy in PROXIES:
        for spelling in (proxy, proxy.lower()):
            if caller_arguments.environment.get(spelling):
                arguments[spelling] = caller_arguments.environment[spelling]
    for i, text in enumerate(package.build.build_args):
        try:
            arguments |= dict(_resolve_argument(package, text, naming))
        except PackageError as error:
            raise error.with_place(package.build.positions.place_of("buildArgs", i)) from error
    for text in caller_arguments.pairs:
        arguments |= dict(_resolve_argument(package, text, naming))
    return arguments


def read_argument_file(path: Path) -> tuple[str, ...]:
    """Read a file with one build argument per line; directories are relative to the file."""
    with wrap_os_errors(path, "read"):
        lines = read_data_stream(path).decode("utf-8", "replace").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if "=" not in text:
            raise PackageError.of(
                packages.BAD_BUILD_ARGUMENT,
                f"invalid build argument {text!r}",
                "write it as KEY=VALUE",
                place=_line_place(path, lines, number),
            )
        problem = argument_problem(text)
        if problem is not None:
            message, hint = problem
            place = _line_place(path, lines, number)
            raise PackageError.of(packages.BAD_BUILD_ARGUMENT, message, hint, place=place)
        found.append(_with_absolute_directory(text, path))
    return tuple(found)


def _line_place(path: Path, lines: Sequence[str], number: int) -> Place:
    """Return the place of a line, without the blanks around its text."""
    line = lines[number - 1]
    indent = len(line) - len(line.lstrip())
    source = SourceText(str(path), "\n".join(lines))
    return Place(source, number, indent + 1, len(line.strip()))


def _with_absolute_directory(text: str, path: Path) -> str:
    key, _, value = text.partition("=")
    relative = _RELATIVE_VALUE.fullmatch(value)
    if relative is None:
        return text
    return f"{key}={relative[1]}{os.path.normpath(path.absolute().parent / relative[2])}"


def referenced_directories(
    package: Package, caller_arguments: BuildArguments = BuildArguments()
) -> list[Path]:
    """Return the directories of the packages that build.yml and build arguments refer to."""
    toolchains = [f"={section.toolchain}" for section in _compiled(package)]
    texts = (*package.build.build_args, *caller_arguments.pairs, *toolchains)
    return [directory for text in texts for directory in _argument_directories(package, text)]


def _compiled(package: Package) -> list[GoPrograms | LinuxSource]:
    """Return the sections of build.yml that name a toolchain."""
    sections = (package.build.go, package.build.linux)
    return [section for section in sections if section is not None]


def place_of_reference(package: Package, key: Path) -> Place | None:
    """Return where build.yml refers to the package in a resolved directory, or None."""
    build = package.build
    for i, text in enumerate(build.build_args):
        if key in (directory.resolve() for directory in _argument_directories(package, text)):
            return build.positions.place_of("buildArgs", i)
    for name, section in (("go", build.go), ("linux", build.linux)):
        if section is not None:
            toolchain = _named_directory(package, section.toolchain)
            if toolchain is not None and toolchain.resolve() == key:
                return build.positions.place_of(name, "toolchain")
    return None


def toolchain_reference(
    package: Package, section: GoPrograms | LinuxSource, naming: Naming
) -> Reference:
    """Return the image with the toolchain of a section of build.yml."""
    one = _named_directory(package, section.toolchain)
    name = _package_name(one, naming) if one else section.toolchain
    return Reference.parse(name)


def _resolve_argument(package: Package, text: str, naming: Naming) -> Iterator[tuple[str, str]]:
    key, _, value = text.partition("=")
    one, several = _named_directory(package, value), _PATTERN_VALUE.fullmatch(value)
    if one:
        yield key, _package_name(one, naming)
    elif several:
        directories = _matching_directories(package, several[1])
        if not directories:
            raise PackageError.of(
                packages.BAD_BUILD_ARGUMENT,
                f"no package matches {several[1]!r}",
                f"it is a pattern of directories, relative to {package.directory}",
            )
        for directory in directories:
            build = read_package(directory).build
            # The organization is that of build.yml: the Dockerfile declares the argument.
            word = re.sub(r"[^A-Z0-9_]", "_", f"{build.org}/{build.image}".upper())
            yield key.replace("%", word), _package_name(directory, naming)
    else:
        yield key, value


def _argument_directories(package: Package, text: str) -> list[Path]:
    value = text.partition("=")[2]
    one, several = _named_directory(package, value), _PATTERN_VALUE.fullmatch(value)
    if one:
        return [one]
    return _matching_directories(package, several[1]) if several else []


def _named_directory(package: Package, value: str) -> Path | None:
    """Return the directory of the one package that a value names, beside it or by the catalogue."""
    beside, ours = _PACKAGE_VALUE.fullmatch(value), _CATALOG_VALUE.fullmatch(value)
    if ours:
        return catalog_directory(ours[1])
    return package.directory / beside[1] if beside else None


def _matching_directories(package: Package, pattern: str) -> list[Path]:
    base = Path("/") if pattern.startswith("/") else package.directory
    found = base.glob(pattern.lstrip("/").removeprefix("./"))
    return sorted(p for p in found if not p.name.startswith(".") and (p / "build.yml").is_file())


def _package_name(directory: Path, naming: Naming) -> str:
    """Return the name of another package; only `org` applies to it."""
    return str(derive_name(read_package(directory), Naming(org=naming.org)))
