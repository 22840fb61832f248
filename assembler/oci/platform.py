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
    "i386": "386",
    "i686": "386",
    "loongarch64": "loong64",
    "mips64el": "mips64le",
    "mipsel": "mipsle",
    "ppc64el": "ppc64le",
}
# Names that people use, but that may mean something else: suggestions, never aliases.
_MEANT = {
    **dict.fromkeys(("x86", "x64", "amd", "intel", "intel64", "em64t", "x8664"), "amd64"),
    **dict.fromkeys(("i486", "i586", "ia32", "x32"), "386"),
    **dict.fromkeys(("arm64v8", "armv8", "armv8l", "armv9"), "arm64"),
    **dict.fromkeys(("arm32", "arm32v7", "armel", "armv5", "armv6", "armv6l", "armv7"), "arm"),
    **dict.fromkeys(("riscv", "risc-v", "rv64", "rv64gc"), "riscv64"),
    **dict.fromkeys(("ppc", "powerpc", "powerpc64le", "power"), "ppc64le"),
    **dict.fromkeys(("s390", "z", "zarch"), "s390x"),
    **dict.fromkeys(("loongarch", "loong"), "loong64"),
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
        if parts[0] == "linux" and (hint := architecture_hint(parts[1])):
            raise ImageError.of(
                images.BAD_PLATFORM, f"unknown architecture {parts[1]!r} in {text!r}", hint
            )
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


def architecture_hint(name: str) -> str:
    """Return the hint for a mistyped architecture; nothing if it is known or like no known one."""
    normalized = normalize_architecture(name)
    if normalized in ARCHITECTURES:
        return ""
    meant = _MEANT.get(normalized)
    if meant is not None:
        return f"did you mean {meant}?"
    from assembler.spelling import nearest_words  # noqa: PLC0415 - only for a typing mistake

    found = nearest_words(normalized, (*ARCHITECTURES, *_ALIASES), 1)
    return f"did you mean {normalize_architecture(found[0])}?" if found else ""


def host_platform() -> Platform:
    """Return the platform this process runs on."""
    return Platform("linux", normalize_architecture(python_platform.machine()))
