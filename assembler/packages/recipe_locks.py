"""Package locks of recipes: resolving, comparing and writing them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages as codes
from assembler.debian import (
    LOCK_FILE,
    keep_other_architectures,
    lock_differences,
    open_archive_engine,
    read_package_lock,
    resolve_lock,
    write_package_lock,
)
from assembler.diagnostics import Diagnostic
from assembler.errors import PackageError
from assembler.packages.jobs import target_platforms
from assembler.packages.package_reader import read_packages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.debian import PackageLock
    from assembler.events import Reporter
    from assembler.packages.options import PackageBuildOptions


@dataclass(frozen=True, slots=True)
class RecipeLock:
    """The newest packages of a recipe, and the path of its lock file."""

    directory: Path
    newest: PackageLock

    @property
    def path(self) -> Path:
        """Return the lock file."""
        return self.directory / LOCK_FILE

    def differences(self) -> list[str]:
        """Return the differences from the lock file, as lines of text."""
        return [*lock_differences(read_package_lock(self.directory), self.newest)]

    def write(self) -> Path:
        """Write the lock file unless it has the newest packages already."""
        if self.newest == read_package_lock(self.directory):
            return self.path
        return write_package_lock(self.directory, self.newest)


def lock_packages(
    directories: Sequence[Path], options: PackageBuildOptions, reporter: Reporter
) -> list[RecipeLock]:
    """Resolve the newest Debian packages of each recipe; nothing is written."""
    recipes = []
    for package in read_packages(directories, options.build_file):
        debs = package.build.debs
        if debs is None or not debs.packages:
            raise PackageError.of(
                codes.BAD_RECIPE,
                f"{package.directory} has no Debian packages: nothing to lock",
            )
        recipes.append((package.directory, debs, target_platforms(package, options.platforms)))
    engine = open_archive_engine(
        options.sources.open_store(), options.debian, reporter, offline=options.sources.offline
    )
    return [
        RecipeLock(
            directory,
            keep_other_architectures(directory, debs, resolve_lock(debs, platforms, engine)),
        )
        for directory, debs, platforms in recipes
    ]


def check_locks(locks: Sequence[RecipeLock]) -> None:
    """Raise PackageError if a lock file does not have the newest packages."""
    outdated = [
        Diagnostic(
            codes.OUTDATED_LOCK,
            f"{lock.path} is out of date:\n" + "\n".join(lines),
            hints=(f"update it with: dolmen pkg lock {lock.directory}",),
        )
        for lock in locks
        if (lines := lock.differences())
    ]
    if outdated:
        raise PackageError(outdated)
