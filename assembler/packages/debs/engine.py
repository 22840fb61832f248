"""What is asked of whoever knows a Debian archive: which packages, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.oci.platform import Platform

# What OCI calls an architecture, and what Debian calls it, where they differ.
_DEBIAN = {"arm": "armhf", "386": "i386", "ppc64le": "ppc64el", "mips64le": "mips64el"}
_PORTS = frozenset(
    {"amd64", "arm64", "armhf", "i386", "ppc64el", "riscv64", "s390x", "mips64el", "loong64"}
)


@dataclass(frozen=True, slots=True)
class Request:
    """What a recipe wants of an archive, for one architecture."""

    suite: str
    architecture: str
    packages: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    exclude: tuple[str, ...] = ()
    dependencies: bool = True


@dataclass(frozen=True, slots=True, order=True)
class Chosen:
    """A package that was chosen: exactly this file and no other."""

    name: str
    version: str
    architecture: str
    # Below the archive's address, as pool/main/r/runc/runc_1.1_amd64.deb.
    path: str
    size: int
    sha256: str


class Engine(Protocol):
    """A way to resolve dependencies and to fetch packages."""

    def resolve(self, request: Request) -> tuple[Chosen, ...]:
        """Return all packages that the request comes to, in order of their names."""

    def fetch(self, suite: str, chosen: Sequence[Chosen]) -> list[Path]:
        """Return a verified file for each package."""


def debian_architecture(platform: Platform) -> str:
    """Return what Debian calls the platform's architecture."""
    name = _DEBIAN.get(platform.architecture, platform.architecture)
    if platform.os != "linux" or name not in _PORTS:
        raise PackageError.of(
            packages.BAD_RECIPE,
            f"there is no Debian for {platform}",
            f"there is Debian for {', '.join(sorted(_PORTS))}",
        )
    return name
