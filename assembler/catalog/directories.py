"""The directories of the catalogue: `pkg/` and `kernel/` of a checkout, or those of a wheel."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from assembler.codes import packages as codes
from assembler.errors import PackageError, wrap_os_errors

CATALOG_PREFIX = "@dolmen:"

_LIBRARY = Path(__file__).resolve().parent.parent
_INSTALLED = _LIBRARY / "_catalog"
# The folders of packages, and what precedes their names in those of images.
_FOLDERS = {"pkg": "", "kernel": "kernel-"}
_BUILD_FILE = "build.yml"
# Written by the build of the wheel: a time for each directory.
_TIMES = "times.json"


def catalog_names() -> tuple[str, ...]:
    """Return the names of all packages of the catalogue, sorted."""
    return tuple(sorted(_directories()))


def catalog_directory(name: str) -> Path:
    """Return the directory of a package; an unknown name is an error."""
    directories = _directories()
    if name in directories:
        return directories[name]
    if not directories:
        raise PackageError.of(
            codes.UNKNOWN_PACKAGE,
            f"no package {name!r}: this installation of Dolmen has no catalogue",
            "install the wheel of Dolmen, or use a checkout",
        )
    from assembler.spelling import nearest_words  # noqa: PLC0415 - only a mistake needs it

    near = nearest_words(name, directories, 1)
    raise PackageError.of(
        codes.UNKNOWN_PACKAGE,
        f"the catalogue has no package {name!r}",
        f"did you mean {CATALOG_PREFIX}{near[0]}?" if near else "dolmen pkg list shows them all",
    )


def is_installed(directory: Path) -> bool:
    """Tell whether a directory is in an installed catalogue, which no git repository tracks."""
    return directory.resolve().is_relative_to(_INSTALLED)


def catalog_name(directory: Path) -> str | None:
    """Return the name of the package in a directory; None if it is not of the catalogue."""
    where = directory.resolve()
    return next((name for name, known in _directories().items() if known == where), None)


def catalog_time(directory: Path) -> int:
    """Return the time of the last commit that changed a package of an installed catalogue.

    It is in seconds since 1970; 0 elsewhere, and if the wheel was built without git.
    """
    where = directory.resolve()
    if not where.is_relative_to(_INSTALLED):
        return 0
    return _times().get(where.relative_to(_INSTALLED).as_posix(), 0)


@cache
def _directories() -> dict[str, Path]:
    root = _INSTALLED if _INSTALLED.is_dir() else _LIBRARY.parent
    return {
        prefix + build_file.parent.name: build_file.parent
        for folder, prefix in _FOLDERS.items()
        for build_file in (root / folder).glob(f"*/{_BUILD_FILE}")
    }


@cache
def _times() -> dict[str, int]:
    path = _INSTALLED / _TIMES
    with wrap_os_errors(path, "read"):
        times: dict[str, int] = json.loads(path.read_bytes()) if path.is_file() else {}
    return times
