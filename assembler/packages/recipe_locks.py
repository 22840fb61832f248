"""Locks of recipes: choosing the newest Debian packages, comparing, writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.debian.lock import LOCK_FILE, read_lock, write_lock
from assembler.debian.locking import differences, lock_for, renewed
from assembler.debian.options import archive_engine
from assembler.diagnostics import Diagnostic
from assembler.errors import PackageError
from assembler.packages.build_file_reader import read_package
from assembler.packages.package_build import platforms_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.debian.lock import Lock
    from assembler.events import Reporter
    from assembler.packages.options import PackageBuildOptions


@dataclass(frozen=True, slots=True)
class RecipeLock:
    """The newest packages of a recipe, and the file that they belong in."""

    directory: Path
    newest: Lock

    @property
    def path(self) -> Path:
        """Return the lock file."""
        return self.directory / LOCK_FILE

    def differences(self) -> list[str]:
        """Return, in lines for people, what differs from the lock file."""
        return [*differences(read_lock(self.directory), self.newest)]

    def write(self) -> Path:
        """Write the lock file; one that has the newest packages is left as it is."""
        if self.newest == read_lock(self.directory):
            return self.path
        return write_lock(self.directory, self.newest)


def lock_packages(
    directories: Sequence[Path], options: PackageBuildOptions, reporter: Reporter
) -> list[RecipeLock]:
    """Choose the newest Debian packages of each recipe; nothing is written."""
    recipes = []
    for package in [read_package(d, options.build_file) for d in directories]:
        debs = package.build.debs
        if debs is None:
            raise PackageError.of(
                codes.BAD_RECIPE,
                f"{package.directory} has no recipe, so there is nothing to lock",
            )
        recipes.append((package.directory, debs, platforms_of(package, options.platforms)))
    engine = archive_engine(options.sources.open_store(), options.debian, reporter)
    return [
        RecipeLock(directory, renewed(directory, debs, lock_for(debs, platforms, engine)))
        for directory, debs, platforms in recipes
    ]


def check_locks(locks: Sequence[RecipeLock]) -> None:
    """Raise PackageError if a lock file does not have the newest packages."""
    behind = [
        Diagnostic(
            codes.OUTDATED_LOCK,
            f"{lock.path} is not up to date:\n" + "\n".join(lines),
            hints=(f"update it: dolmen pkg lock {lock.directory}",),
        )
        for lock in locks
        if (lines := lock.differences())
    ]
    if behind:
        raise PackageError(behind)
