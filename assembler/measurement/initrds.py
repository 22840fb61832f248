"""The initrd as a kernel gets it: files joined, and what a stub adds as archives of its own."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from assembler.inspection import CorruptDataError, read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from assembler.inspection import BootVolume, DataSource
    from assembler.measurement.programs import EfiProgram

# Sections that the stub gives to the system as files below /.extra, in its order.
_ADDED = (
    (".pcrsig", "tpm2-pcr-signature.json"),
    (".pcrpkey", "tpm2-pcr-public-key.pem"),
    (".osrel", "os-release"),
    (".profile", "profile"),
)
_FOLDER = ".extra"
_TRAILER = (
    b"070701" + b"00000000" * 4 + b"00000001" + b"00000000" * 6 + b"0000000B00000000"
    b"TRAILER!!!\0\0\0\0"
)


def delivered_initrd(program: EfiProgram) -> bytes | None:
    """Return the digest of what a stub passes to its kernel, or None if that is nothing."""
    parts: list[DataSource | bytes] = []
    for name in (".ucode", ".initrd"):
        window = program.window(name)
        if window is not None:
            parts.append(window)
    for name, file in _ADDED:
        content = program.small(name)
        if content:
            parts.append(_archive(file, content))
    return _joined_digest(parts)


def file_initrd(volume: BootVolume, paths: Iterable[str]) -> bytes | None:
    """Return the digest of the files that a boot loader joins."""
    parts: list[DataSource | bytes] = []
    for path in paths:
        found = volume.find(path.strip("/").replace("\\", "/"))
        if found is None:
            raise CorruptDataError(f"the initrd {path} does not exist")
        parts.append(found[1])
    return _joined_digest(parts)


def _joined_digest(parts: list[DataSource | bytes]) -> bytes | None:
    if not parts:
        return None
    hasher = hashlib.sha256()
    for part in parts:
        size = 0
        for chunk in [part] if isinstance(part, bytes) else read_chunks(part):
            hasher.update(chunk)
            size += len(chunk)
        if len(parts) > 1:
            # One alone is passed as it is.
            hasher.update(bytes(-size % 4))
    return hasher.digest()


def _archive(name: str, content: bytes) -> bytes:
    """Return an archive of the format newc with a directory and a file."""
    folder = _member(1, 0o40555, _FOLDER, b"")
    return folder + _member(2, 0o100444, f"{_FOLDER}/{name}", content) + _TRAILER


def _member(inode: int, mode: int, name: str, content: bytes) -> bytes:
    path = name.encode() + b"\0"
    numbers = (inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(path), 0)
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + path
    head += bytes(-len(head) % 4) + content
    return head + bytes(-len(head) % 4)
