"""Reading packages: the directory, its build.yml, and what is wrong with either."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.config import DEFAULT_FILE, Package, read_build_file
from assembler.errors import DolmenError, PackageError
from assembler.packages.build_file_reader import locate_package, parse_build_file
from assembler.packages.checked_out import check_package, check_path
from assembler.spelling import nearest_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from assembler.diagnostics import Diagnostic

# Packages are rarely deeper below the directory that exists.
_OTHER_DEPTHS = (1, 2)
_MAX_PACKAGES = 200


def read_package(directory: Path, build_yml: str = DEFAULT_FILE) -> Package:
    """Read the build.yml of a package; an error has all mistakes."""
    path = directory / build_yml
    check_path(directory, build_yml)
    if not path.exists():
        raise PackageError.of(packages.NOT_A_PACKAGE, *_not_a_package_message(directory, build_yml))
    # Not resolved: messages show the path as the user wrote it.
    document = read_build_file(str(path))
    build = parse_build_file(document)
    package = Package(directory.absolute(), path, build, document.warnings)
    check_package(package)
    return package


def read_packages(named: Iterable[str | Path], build_yml: str = DEFAULT_FILE) -> list[Package]:
    """Read the packages in directories, or of `@dolmen:NAME`; an error has the mistakes of all."""
    found: list[Package] = []
    errors: list[DolmenError] = []
    for name in named:
        try:
            found.append(read_package(locate_package(name), build_yml))
        except DolmenError as error:
            errors.append(error)
    if len({type(error) for error in errors}) == 1:
        raise type(errors[0])(_each_once(errors))
    if errors:
        raise PackageError(_each_once(errors))
    return found


def _each_once(errors: Sequence[DolmenError]) -> list[Diagnostic]:
    return list(dict.fromkeys(d for error in errors for d in error.diagnostics))


def _not_a_package_message(directory: Path, build_yml: str) -> tuple[str, ...]:
    if not directory.exists():
        near = _nearest_package(directory, build_yml)
        return (f"directory {directory} not found", *((f"did you mean {near}?",) if near else ()))
    if not directory.is_dir():
        return (f"{directory} is not a directory", "name the directory that contains build.yml")
    inside = sorted(p.parent.name for p in directory.glob(f"*/{build_yml}"))[:5]
    hints = (f"it contains the packages {', '.join(inside)}",) if inside else ()
    return (f"{directory} is not a package: it has no {build_yml}", *hints)


def _nearest_package(missing: Path, build_yml: str) -> Path | None:
    """Return the package directory whose name is closest to that of a missing directory."""
    parent = missing.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    wanted = missing.relative_to(parent)
    depth = len(wanted.parts)
    found = islice(
        (
            p.parent
            for pattern in ("*/" * n for n in (depth, *_OTHER_DEPTHS))
            for p in sorted(parent.glob(f"{pattern}{build_yml}"))
        ),
        _MAX_PACKAGES,
    )
    by_path = {str(p.relative_to(parent)): p for p in found}
    near = nearest_words(str(wanted), by_path, 1)
    if near:
        return by_path[near[0]]
    by_name = {p.name: p for p in by_path.values()}
    near = nearest_words(wanted.name, by_name, 1)
    return by_name[near[0]] if near else None
