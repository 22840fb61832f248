"""Build packages: the part of the Python API for `dolmen pkg`."""

from __future__ import annotations

from assembler.debian import DebianOptions
from assembler.dockerfile import BuilderOptions
from assembler.packages import (
    BuildArguments,
    Naming,
    PackageBuildOptions,
    PackageBuildResult,
    PackageName,
    PackageResult,
    RecipeLock,
)
from assembler.packages import build_directories as build
from assembler.packages import lock_packages as lock
from assembler.packages import package_names as names

__all__ = [
    "BuildArguments",
    "BuilderOptions",
    "DebianOptions",
    "Naming",
    "PackageBuildOptions",
    "PackageBuildResult",
    "PackageName",
    "PackageResult",
    "RecipeLock",
    "build",
    "lock",
    "names",
]
