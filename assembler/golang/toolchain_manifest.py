"""The manifest of an unpacked toolchain: size and SHA-256 of each file, and its verification."""

from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from assembler.files import atomic_write

# A file of this name is the last one of a complete toolchain.
MANIFEST = ".complete"
_VERIFIED = ".verified"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_WORKERS = 2


def write_manifest(goroot: Path) -> None:
    """Write the manifest of a toolchain that has just been unpacked, and is right."""
    paths = _paths(goroot)
    with ThreadPoolExecutor(_WORKERS) as pool:
        rows = dict(zip(paths, pool.map(_describe, (goroot / path for path in paths)), strict=True))
    with atomic_write(goroot / MANIFEST, durable=False) as file:
        file.write(json.dumps(rows).encode())
    _note_verified(goroot)


def has_manifest(goroot: Path) -> bool:
    """Tell whether a toolchain is complete; an earlier version has written empty manifests."""
    try:
        return (goroot / MANIFEST).stat().st_size > 0
    except OSError:
        return False


def was_verified(goroot: Path) -> bool:
    """Tell whether a toolchain was verified since this machine started."""
    with suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
        return bool(boot) and (goroot / _VERIFIED).read_text() == boot
    return False


def is_intact(goroot: Path) -> bool:
    """Compare all files of a toolchain with its manifest, and remember that they match."""
    try:
        rows = json.loads((goroot / MANIFEST).read_bytes())
        paths = _paths(goroot)
        if not isinstance(rows, dict) or paths != sorted(rows):
            return False
        with ThreadPoolExecutor(_WORKERS) as pool:
            found = pool.map(_describe, (goroot / path for path in paths))
            if any(rows[path] != row for path, row in zip(paths, found, strict=True)):
                return False
    except (OSError, ValueError):
        return False
    _note_verified(goroot)
    return True


def _note_verified(goroot: Path) -> None:
    with suppress(OSError):
        (goroot / _VERIFIED).write_text(_BOOT_ID.read_text().strip())


def _describe(path: Path) -> list[int | str]:
    data = path.read_bytes()
    return [len(data), hashlib.sha256(data, usedforsecurity=False).hexdigest()]


def _paths(goroot: Path) -> list[str]:
    found = []
    for folder, _, names in os.walk(goroot):
        below = os.path.relpath(folder, goroot)
        found += [os.path.normpath(os.path.join(below, name)) for name in names]  # noqa: PTH118
    return sorted(path for path in found if path not in (MANIFEST, _VERIFIED))
