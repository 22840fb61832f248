"""What is asked of whoever knows a Debian archive: which packages, and their files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.oci import Platform

# Lists of archives that are younger than so many seconds are not asked for again.
INDEX_MAX_AGE = 3600.0
# What can be done about an archive whose signature does not hold, or about the keys.
UNTRUSTED_ARCHIVE_HINT = "nothing of such an archive is used; try another mirror"
KEYRING_HINT = "install a newer debian-archive-keyring, or name a keyring with --debian-keyring"
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?:=[A-Za-z0-9.+:~-]+)?")
# What OCI calls an architecture, and what Debian calls it, where they differ.
_DEBIAN_NAMES = {"arm": "armhf", "386": "i386", "ppc64le": "ppc64el", "mips64le": "mips64el"}
_ARCHITECTURES = frozenset(
    {"amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x", "mips64el", "loong64"}
)


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """What a recipe wants of an archive, for one architecture."""

    suite: str
    architecture: str
    packages: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    exclude: tuple[str, ...] = ()
    dependencies: bool = True


@dataclass(frozen=True, slots=True, order=True)
class PinnedPackage:
    """A package that was chosen: exactly this file and no other."""

    name: str
    version: str
    architecture: str
    # Below the archive's address, as pool/main/r/runc/runc_1.1_amd64.deb.
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, order=True)
class ArchiveSnapshot:
    """What an archive was when packages were chosen from it."""

    suite: str
    # As its Release says it.
    date: str
    # Of the signed list of its files: InRelease, or Release.
    sha256: str


class ArchiveEngine(Protocol):
    """A way to resolve dependencies and to fetch packages."""

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return all packages that the request comes to, in order of their names."""

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return what the archives were that `resolve` has just chosen from."""

    def fetch(self, suite: str, chosen: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package."""


def check_package_names(request: PackageRequest) -> None:
    """Refuse what cannot be the name of a package."""
    for name in (*request.packages, *request.exclude):
        if not _PACKAGE_NAME.fullmatch(name):
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"not the name of a Debian package: {name!r}",
                "write a name as busybox-static, or with a version as runc=1.1.15+ds1-2",
            )
    if not request.packages:
        raise PackageError.of(packages.BAD_RECIPE, "the recipe names no packages")


def unavailable_error(left: Sequence[PinnedPackage], why: str = "") -> PackageError:
    """Say that no archive has some packages any more."""
    names = ", ".join(f"{c.name} {c.version}" for c in left[:5]) + (" …" if len(left) > 5 else "")
    return PackageError.of(
        packages.VERSION_NOT_FOUND,
        f"no mirror has {names}" + (f": {why}" if why else ""),
        "archives keep old versions for some days only: `dolmen pkg lock DIR` chooses what there "
        "is now",
        "or name a mirror that keeps them with --debian-mirror",
    )


def debian_architecture(platform: Platform) -> str:
    """Return what Debian calls the platform's architecture."""
    name = _DEBIAN_NAMES.get(platform.architecture, platform.architecture)
    if platform.os != "linux" or name not in _ARCHITECTURES:
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"there is no Debian for {platform}",
            f"there is Debian for {', '.join(sorted(_ARCHITECTURES))}",
        )
    return name
