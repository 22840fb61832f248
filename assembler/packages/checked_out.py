"""Packages of `@git:` references: directories of a checkout below the store.

Such a package may come from anyone. Its name is that of the commit, and it uses nothing outside of
its repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.git_sources import SUBMODULE, Checkout, find_root, open_checkout

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.config import Package
    from assembler.diagnostics import Place

_TRUST = "if you trust the repository, clone it, and name the directory with @pkg:"
_IGNORE_FILE = ".dockerignore"
_LOCK = "debs.lock"


@dataclass(frozen=True, slots=True)
class CheckedOutDirectory:
    """A directory of a checkout."""

    checkout: Checkout
    # From the top of the repository, without a slash at the end; empty at the top.
    prefix: str

    @classmethod
    def find(cls, directory: Path) -> CheckedOutDirectory | None:
        """Return the directory in its checkout; None if it is in none."""
        where = directory.resolve()
        root = find_root(where)
        if root is None:
            return None
        checkout = open_checkout(root)
        if checkout is None:
            raise _damage(root)
        prefix = where.relative_to(checkout.files).as_posix()
        return cls(checkout, "" if prefix == "." else prefix)

    @property
    def time(self) -> int:
        """Return the time of the commit, in seconds since 1970."""
        return self.checkout.tree.time

    def tree_hash(self) -> str:
        """Return git's hash of the directory; its files have to be those of the commit."""
        found = self.checkout.tree.tree_hash(self.prefix)
        if found is None or not self.checkout.is_intact(self.prefix):
            raise _damage(self.checkout.root)
        for entry in self.checkout.tree.below(self.prefix):
            if entry.mode == SUBMODULE:
                raise PackageError.of(
                    packages.GIT_REFUSED,
                    f"the package contains the submodule {entry.path!r}, which is not fetched",
                    _TRUST,
                )
        return found


def check_path(directory: Path, build_yml: str) -> None:
    """Refuse a package whose build.yml is outside of the checkout that its path leads through."""
    root = find_root(directory.absolute())
    if root is not None:
        _check_inside(root, directory / build_yml, None)


def check_package(package: Package) -> None:
    """Refuse a package of a checkout that uses files outside of it."""
    root = find_root(package.directory)
    if root is None:
        return
    build, places = package.build, package.build.positions
    for name in (build.dockerfile, f"{build.dockerfile}{_IGNORE_FILE}", _IGNORE_FILE, _LOCK):
        _check_inside(root, package.directory / name, places.place_of("dockerfile"))
    for number, extra in enumerate(build.extra_sources):
        place = places.place_of("extra-sources", number)
        _check_inside(root, package.directory / extra.source, place)
    if build.docker_images is not None and build.docker_images.from_file is not None:
        place = places.place_of("depends", "docker-images", "from-file")
        _check_inside(root, package.directory / build.docker_images.from_file, place)
    values = [
        (text.partition("=")[2], places.place_of("buildArgs", number))
        for number, text in enumerate(build.build_args)
    ]
    for name, section in (("go", build.go), ("linux", build.linux)):
        if section is not None:
            values.append((section.toolchain, places.place_of(name, "toolchain")))
    for value, place in values:
        kind, _, path = value.removeprefix("@lkt:").removeprefix("@dolmen:").partition(":")
        if value.startswith("@") and kind in ("pkg", "pkgs"):
            _check_inside(root, package.directory / path, place)


def refuse_programs(package: Package) -> None:
    """Refuse to compile programs of a checkout: the toolchain would run as the user."""
    if find_root(package.directory) is not None:
        raise PackageError.of(
            packages.GIT_REFUSED,
            f"{package.build.image} has Go programs, and their toolchain would run as your user",
            _TRUST,
            place=package.build.positions.place_of("go"),
        )


def refuse_kernel(package: Package) -> None:
    """Refuse to compile a kernel of a checkout: its toolchain would run as the user."""
    if find_root(package.directory) is not None:
        raise PackageError.of(
            packages.GIT_REFUSED,
            f"{package.build.image} compiles a kernel, and its toolchain would run as your user",
            _TRUST,
            place=package.build.positions.place_of("linux"),
        )


def _check_inside(root: Path, path: Path, place: Place | None) -> None:
    if not path.resolve().is_relative_to(root.resolve() / "files"):
        shown = path.relative_to(root / "files") if path.is_relative_to(root) else path
        raise PackageError.of(
            packages.GIT_REFUSED,
            f"{shown} is outside of the repository",
            "a package from @git: uses files of its repository only",
            place=place,
        )


def _damage(root: Path) -> PackageError:
    return PackageError.of(
        packages.DAMAGED_FILE,
        f"the files in {root} are not those of the commit",
        "dolmen cache verify",
    )
