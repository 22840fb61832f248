"""The pool of downloaded packages: each file is named by its digest, complete and verified."""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assembler.codes import packages
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import PackageError, wrap_os_errors
from assembler.events import NullReporter, WarningEmitted
from assembler.files import STORE_MODE, atomic_write, check_room
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.debian.engine_protocol import PinnedPackage
    from assembler.events import Reporter

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagePool:
    """A directory of package files."""

    root: Path
    reporter: Reporter = field(default_factory=NullReporter)

    def path(self, package: PinnedPackage) -> Path:
        """Return the path for a package."""
        return self.root / "pool" / f"{package.sha256}.deb"

    def has(self, package: PinnedPackage) -> bool:
        """Tell whether the pool has a package, with the right content; a damaged one is removed."""
        path = self.path(package)
        try:
            if path.stat().st_size == package.size and file_sha256(path) == package.sha256:
                return True
        except OSError:
            return False
        what = f"{package.name} {package.version} ({path})"
        with wrap_os_errors(path, "remove"):
            path.unlink(missing_ok=True)
        self.reporter.emit(damage_warning(what))
        return False

    def use(self, package: PinnedPackage) -> Path:
        """Return the package's path, and set its time for the garbage collection."""
        path = self.path(package)
        with suppress(OSError):  # a read-only pool works, too
            os.utime(path)
        return path

    @contextmanager
    def create(self, package: PinnedPackage) -> Iterator[IO[bytes]]:
        """Open a file that becomes the package if the block ends without an exception."""
        with wrap_os_errors(self.root):
            self.path(package).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path(package), mode=STORE_MODE) as target:
            yield target

    def check_room(self, size: int, what: str) -> None:
        """Raise HostError unless the disk has room for packages of this size."""
        with wrap_os_errors(self.root):
            self.root.mkdir(parents=True, exist_ok=True)
        check_room(self.root, size, what)

    def add(self, file: Path, package: PinnedPackage) -> None:
        """Copy a file into the pool and verify it; it may be a link into a local mirror."""
        digest, size = hashlib.sha256(), 0
        with (
            wrap_os_errors(file, "read"),
            file.open("rb") as source,
            self.create(package) as target,
        ):
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
            verify_package(package, digest.hexdigest(), size)

    @contextmanager
    def temporary_directory(self) -> Iterator[Path]:
        """Create a directory that is removed after the block."""
        with wrap_os_errors(self.root):
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
        with scratch_directory(self.root / "tmp") as directory:
            yield directory


def damage_warning(what: str) -> WarningEmitted:
    """Return the warning about a kept file that was damaged."""
    return WarningEmitted(
        Diagnostic(
            packages.DAMAGED_FILE,
            f"{what} was damaged, and is downloaded again",
            hints=("check the disk, unless the power has failed",),
            severity=Severity.WARNING,
        )
    )


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify_package(package: PinnedPackage, sha256: str, size: int) -> None:
    """Raise PackageError if a package's digest or size differs from the archive's index."""
    if (sha256, size) != (package.sha256, package.size):
        raise PackageError.of(
            packages.DIGEST_MISMATCH,
            f"{package.name} {package.version} does not match the archive's index: "
            f"{size} bytes with the sha256 {sha256} instead of "
            f"{package.size} bytes with {package.sha256}",
            "the mirror may be in the middle of an update: try again, or choose another mirror",
        )
