"""The protocol of archive engines, which resolve and fetch Debian packages, and its data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assembler.codes import packages
from assembler.errors import PackageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.oci import Platform

# Package lists are updated when they are older than this, in seconds.
INDEX_MAX_AGE = 3600.0
UNTRUSTED_ARCHIVE_HINT = "Dolmen uses only archives with a valid signature; try another mirror"
EXPIRED_ARCHIVE_HINTS = (
    "the mirror is outdated, or an attacker serves an old one; try another mirror",
    "for a snapshot of an archive: --debian-mirror '[check-valid-until=no] URL'",
)
KEYRING_HINT = "install a newer debian-archive-keyring, or name a keyring with --debian-keyring"
_PACKAGE_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*[a-z0-9+.](?:=[A-Za-z0-9.+:~-]+)?")
# Debian's names of OCI architectures, where the two differ.
_ARCHITECTURE_NAMES = {"arm": "armhf", "386": "i386", "ppc64le": "ppc64el", "mips64le": "mips64el"}
_ARCHITECTURES = frozenset(
    {"amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x", "mips64el", "loong64"}
)


@dataclass(frozen=True, slots=True)
class PackageRequest:
    """The packages that a recipe names, for one architecture."""

    suite: str
    architecture: str
    packages: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    exclude: tuple[str, ...] = ()
    dependencies: bool = True


@dataclass(frozen=True, slots=True, order=True)
class PinnedPackage:
    """A package file of an archive: one version for one architecture, with its checksum."""

    name: str
    version: str
    architecture: str
    # Relative to the archive's URI, such as pool/main/r/runc/runc_1.1_amd64.deb.
    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, order=True)
class ArchiveSnapshot:
    """The state of an archive: the date and the checksum of its Release file."""

    suite: str
    # The field Date of the Release file.
    date: str
    # The checksum of InRelease, or of Release if there is no InRelease.
    sha256: str


class ArchiveEngine(Protocol):
    """Resolves dependencies and fetches packages."""

    def resolve(self, request: PackageRequest) -> tuple[PinnedPackage, ...]:
        """Return the requested packages and their dependencies, sorted by name."""

    def snapshots(self, request: PackageRequest) -> tuple[ArchiveSnapshot, ...]:
        """Return the state of the archives that `resolve` used."""

    def fetch(self, suite: str, packages: Sequence[PinnedPackage]) -> list[Path]:
        """Return a verified file for each package."""


def check_package_names(request: PackageRequest) -> None:
    """Raise PackageError for a name that Debian does not allow, or if there are no packages."""
    for name in (*request.packages, *request.exclude):
        if not _PACKAGE_NAME.fullmatch(name):
            raise PackageError.of(
                packages.BAD_RECIPE,
                f"not the name of a Debian package: {name!r}",
                "write a name as busybox-static, or with a version as runc=1.1.15+ds1-2",
            )
    if not request.packages:
        raise PackageError.of(packages.BAD_RECIPE, "the recipe names no packages")


def unavailable_error(missing: Sequence[PinnedPackage], reason: str = "") -> PackageError:
    """Return the error for packages that no archive has any more."""
    return PackageError.of(
        packages.VERSION_NOT_FOUND,
        f"no mirror has {_package_list(missing)}" + (f": {reason}" if reason else ""),
        "archives keep old versions for a few days only: `dolmen pkg lock DIR` pins the current "
        "versions",
        "or name a mirror that keeps old versions with --debian-mirror",
    )


def _package_list(missing: Sequence[PinnedPackage]) -> str:
    names = ", ".join(f"{package.name} {package.version}" for package in missing[:5])
    return f"{names} …" if len(missing) > 5 else names


def unknown_host_error(name: str) -> PackageError:
    """Return the error for a mirror whose host does not resolve."""
    return PackageError.of(
        packages.NO_MIRROR,
        f"the archive cannot be used: there is no host {name}",
        "check the network of this machine; or name another mirror with --debian-mirror",
    )


def missing_index_error(request: PackageRequest) -> PackageError:
    """Return the error for indexes that the store lacks and that must not be downloaded."""
    return PackageError.of(
        packages.NOT_IN_POOL,
        f"the store has no package lists of {request.suite} for {request.architecture}, "
        "and --offline forbids to download them",
    )


def missing_packages_error(missing: Sequence[PinnedPackage]) -> PackageError:
    """Return the error for packages that the store lacks and that must not be downloaded."""
    return PackageError.of(
        packages.NOT_IN_POOL,
        f"the store lacks {_package_list(missing)}, and --offline forbids to download them",
    )


def debian_architecture(platform: Platform) -> str:
    """Return Debian's name of the platform's architecture."""
    name = _ARCHITECTURE_NAMES.get(platform.architecture, platform.architecture)
    if platform.os != "linux" or name not in _ARCHITECTURES:
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"Debian does not support {platform}",
            f"Debian supports {', '.join(sorted(_ARCHITECTURES))}",
        )
    return name
