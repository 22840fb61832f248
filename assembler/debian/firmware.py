"""Make a layer with the firmware that kernel modules ask for, and no other."""

from __future__ import annotations

import posixpath
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from assembler.debian.deb_file import open_deb
from assembler.debian.kernel import KERNEL_PACKAGES, wanted_firmware
from assembler.debian.layer import recipe_layer
from assembler.debian.tarball import TarEntryKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from assembler.debian.layer_inputs import LayerInputs

# The beginnings of the names of packages with firmware.
FIRMWARE_PACKAGES = ("firmware-", "wireless-regdb")
_FIRMWARE = "usr/lib/firmware/"
# The kernel unpacks files with these suffixes itself.
_SUFFIXES = ("", ".xz", ".zst")
_WILDCARDS = frozenset("*?[")
_MAX_SYMLINKS = 40


def firmware_layer(inputs: LayerInputs) -> Iterator[bytes | memoryview]:
    """Yield the tar of the layer; the packages of the kernel only say what is asked for."""
    kernels = tuple(p for p in inputs.packages if p.control.name.startswith(KERNEL_PACKAGES))
    others = tuple(p for p in inputs.packages if p not in kernels)
    wanted = wanted_firmware(replace(inputs, packages=kernels))
    links = _links_by_path(replace(inputs, packages=others))
    yield from recipe_layer(replace(inputs, packages=others, kept=_kept(links, wanted)))


def _links_by_path(inputs: LayerInputs) -> dict[str, str]:
    """Return the files and links of firmware with the paths that the links lead to."""
    found: dict[str, str] = {}
    for package in inputs.packages:
        with open_deb(package.path) as deb:
            for entry in deb.data():
                # Packages of suites before the merged /usr have their firmware in /lib.
                path = f"usr/{entry.path}" if entry.path.startswith("lib/") else entry.path
                if not path.startswith(_FIRMWARE) or entry.kind is TarEntryKind.DIR:
                    continue
                target = entry.target if entry.kind is TarEntryKind.SYMLINK else ""
                found[path] = (
                    posixpath.normpath(posixpath.join(path, "..", target)) if target else ""
                )
    return found


def _kept(links: Mapping[str, str], wanted: frozenset[str]) -> frozenset[str]:
    """Return the paths of what is asked for, and of the links that lead to it."""
    names = {f"{name}{suffix}" for name in wanted for suffix in _SUFFIXES}
    paths = {f"{_FIRMWARE}{name}" for name in names}
    patterns = sorted(name for name in names if _WILDCARDS & set(name))
    for path in links:
        relative = path.removeprefix(_FIRMWARE)
        if any(fnmatchcase(relative, pattern) for pattern in patterns):
            paths.add(path)
    return frozenset(step for path in paths for step in _steps(links, path))


def _steps(links: Mapping[str, str], path: str) -> list[str]:
    """Return the links on the way to a file, and the file; nothing if it is not there."""
    steps: list[str] = []
    for _ in range(_MAX_SYMLINKS):
        parts = path.split("/")
        beginnings = ("/".join(parts[:i]) for i in range(1, len(parts) + 1))
        link = next((beginning for beginning in beginnings if links.get(beginning)), "")
        if not link:
            return [*steps, path] if path in links else []
        steps.append(link)
        path = links[link] + path[len(link) :]
    return []
