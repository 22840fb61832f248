"""Packages kept on this machine, each under its digest: what is there is whole and verified."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.debian.engine import PinnedPackage

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagePool:
    """The packages below a directory."""

    root: Path

    def path(self, chosen: PinnedPackage) -> Path:
        """Return where the package is, or would be."""
        return self.root / "pool" / f"{chosen.sha256}.deb"

    def has(self, chosen: PinnedPackage) -> bool:
        """Tell whether the package is there."""
        try:
            return self.path(chosen).stat().st_size == chosen.size
        except OSError:
            return False

    def used(self, chosen: PinnedPackage) -> Path:
        """Return the package's file and leave a trace of its use."""
        path = self.path(chosen)
        with suppress(OSError):  # a pool that may only be read is as good
            os.utime(path)
        return path

    @contextmanager
    def arriving(self, chosen: PinnedPackage) -> Iterator[IO[bytes]]:
        """Give a file that becomes the package when the block ends well."""
        with wrap_os_errors(self.root):
            self.path(chosen).parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path(chosen)) as target:
            yield target

    def take(self, file: Path, chosen: PinnedPackage) -> None:
        """Copy a file into the pool if it is what was chosen; it may be a link to a mirror's."""
        digest, size = hashlib.sha256(), 0
        with (
            wrap_os_errors(file, "read"),
            file.open("rb") as source,
            self.arriving(chosen) as target,
        ):
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
                target.write(chunk)
            verify_package(chosen, digest.hexdigest(), size)

    @contextmanager
    def workspace(self) -> Iterator[Path]:
        """Give a directory that is gone after the block."""
        with wrap_os_errors(self.root):
            (self.root / "tmp").mkdir(parents=True, exist_ok=True)
            directory = Path(mkdtemp(dir=self.root / "tmp"))
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)


def verify_package(chosen: PinnedPackage, sha256: str, size: int) -> None:
    """Refuse a package that is not what the archive's index says."""
    if (sha256, size) != (chosen.sha256, chosen.size):
        raise PackageError.of(
            packages.DIGEST_MISMATCH,
            f"{chosen.name} {chosen.version} as it was fetched is not what the archive's "
            f"index says: {size} bytes with the sha256 {sha256} instead of "
            f"{chosen.size} bytes with {chosen.sha256}",
            "the mirror may just be changing: try again, or choose another mirror",
        )
