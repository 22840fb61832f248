"""Recipes: images made of Debian packages, without root, Docker or maintainer scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.debian.control import parse_control
    from assembler.debian.deb_file import copy_deb_file
    from assembler.debian.engine_protocol import ArchiveEngine
    from assembler.debian.engines import open_archive_engine
    from assembler.debian.garbage_collection import collect_debian_garbage
    from assembler.debian.host_sources import HostSources, find_host_sources
    from assembler.debian.lock import LOCK_FILE, PackageLock, read_package_lock, write_package_lock
    from assembler.debian.lock_updates import (
        keep_other_architectures,
        lock_differences,
        resolve_lock,
    )
    from assembler.debian.options import DebianOptions
    from assembler.debian.pool_verification import verify_debian_packages
    from assembler.debian.recipe_build import RecipeBuild, build_recipe
    from assembler.debian.spdx import control_package

_HOMES = {
    "ArchiveEngine": "engine_protocol",
    "DebianOptions": "options",
    "HostSources": "host_sources",
    "LOCK_FILE": "lock",
    "PackageLock": "lock",
    "RecipeBuild": "recipe_build",
    "build_recipe": "recipe_build",
    "collect_debian_garbage": "garbage_collection",
    "control_package": "spdx",
    "copy_deb_file": "deb_file",
    "find_host_sources": "host_sources",
    "keep_other_architectures": "lock_updates",
    "lock_differences": "lock_updates",
    "open_archive_engine": "engines",
    "parse_control": "control",
    "read_package_lock": "lock",
    "resolve_lock": "lock_updates",
    "verify_debian_packages": "pool_verification",
    "write_package_lock": "lock",
}

__all__ = [
    "LOCK_FILE",
    "ArchiveEngine",
    "DebianOptions",
    "HostSources",
    "PackageLock",
    "RecipeBuild",
    "build_recipe",
    "collect_debian_garbage",
    "control_package",
    "copy_deb_file",
    "find_host_sources",
    "keep_other_architectures",
    "lock_differences",
    "open_archive_engine",
    "parse_control",
    "read_package_lock",
    "resolve_lock",
    "verify_debian_packages",
    "write_package_lock",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
