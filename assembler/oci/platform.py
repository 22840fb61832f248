"""Platforms: the operating system, architecture and variant of an image."""

from __future__ import annotations

import platform as python_platform
import re
from dataclasses import dataclass
from typing import Self

from assembler.codes import images
from assembler.errors import ImageError

_VARIANT = re.compile(r"v?(\d{1,4})(?:\.\d+)*", re.ASCII)
# The variant of images of this architecture that name none.
_BASELINES = {"amd64": 1, "arm": 7, "arm64": 8}
_PART = re.compile(r"[a-z0-9_.-]+")
# Names that the kernel, Debian and others use, and the names of OCI.
_ALIASES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv7l": "arm",
    "armhf": "arm",
    "i686": "386",
    "ppc64el": "ppc64le",
}


# The architectures that both Linux and OCI know.
ARCHITECTURES = (
    *("amd64", "arm64", "riscv64", "arm", "386", "ppc64le", "s390x", "loong64"),
    *("mips64le", "mips64", "mipsle", "mips", "ppc64"),
)


@dataclass(frozen=True, slots=True, order=True)
class Platform:
    """An operating system, an architecture and perhaps a variant of it."""

    os: str = "linux"
    architecture: str = "amd64"
    variant: str = ""

    def __str__(self) -> str:
        """Return `linux/arm64` or `linux/arm64/v8`."""
        parts = (self.os, self.architecture, self.variant)
        return "/".join(p for p in parts if p)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `linux/arm64`, `linux/arm/v7` or a bare architecture as `arm64`."""
        parts = text.lower().split("/")
        if len(parts) == 1:
            parts.insert(0, "linux")
        if len(parts) > 3 or not all(_PART.fullmatch(p) for p in parts):
            raise ImageError.of(
                images.BAD_PLATFORM, f"not a platform: {text!r}", "write it as linux/arm64"
            )
        parts[1] = normalize_architecture(parts[1])
        return cls(*parts)

    def satisfies(self, wanted: Platform) -> bool:
        """Tell whether an image for this platform runs on a machine of `wanted`."""
        return self.rank(wanted) is not None

    def rank(self, wanted: Platform) -> int | None:
        """Return how well an image for this platform fits `wanted`: 0 is best, None does not fit.

        A machine of a variant runs images of lower variants; the nearest fits best. Without a
        wanted variant every variant fits, and the baseline fits best.
        """
        if (self.os, self.architecture) != (wanted.os, wanted.architecture):
            return None
        here, there = _level(self), _level(wanted)
        if here is None or there is None:
            return 0 if self.variant == wanted.variant else None if wanted.variant else 100
        if wanted.variant and here > there:
            return None
        return there - here if here <= there else 50 + here - there


def _level(p: Platform) -> int | None:
    """Return the variant as a number, if the architecture counts its variants."""
    if not p.variant:
        return _BASELINES.get(p.architecture)
    number = _VARIANT.fullmatch(p.variant)
    return int(number[1]) if number and p.architecture in _BASELINES else None


def normalize_architecture(name: str) -> str:
    """Return OCI's name of an architecture."""
    return _ALIASES.get(name.lower(), name.lower())


def host_platform() -> Platform:
    """Return the platform this process runs on."""
    return Platform("linux", normalize_architecture(python_platform.machine()))
