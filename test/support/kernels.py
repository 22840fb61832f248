"""Kernels made by tests: as much of them as monitors and loaders look at."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from typing import TYPE_CHECKING

import lz4.block
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VERSION = "6.12.0-made"


def _lz4(data: bytes) -> bytes:
    block = lz4.block.compress(data, store_size=False)
    return b"\x02\x21\x4c\x18" + struct.pack("<I", len(block)) + block


PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "xz": lambda data: lzma.compress(data, lzma.FORMAT_XZ, lzma.CHECK_CRC32),
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "bzip2": bz2.compress,
    "lz4": _lz4,
}


def vmlinux(*, pvh: bool = True, machine: int = 62) -> bytes:
    """Return an ELF file with a segment of code, and one of notes."""
    code = bytes(range(256)) * 40
    notes = struct.pack("<III4s4x", 4, 4, 1, b"GNU\0")
    if pvh:
        notes += struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0x1000000)
    head = struct.pack(
        "<4sBBB9xHHIQQQIHHHHHH",
        *(b"\x7fELF", 2, 1, 1, 2, machine, 1, 0x1000000, 64, 0, 0, 64, 56, 2, 0, 0, 0),
    )
    start = 64 + 2 * 56
    segments = b"".join(
        struct.pack("<IIQQQQQQ", kind, 5, at, 0, 0, size, size, 4)
        for kind, at, size in ((1, start, len(code)), (4, start + len(code), len(notes)))
    )
    return head + segments + code + notes


def bzimage(payload: bytes) -> bytes:
    """Return a kernel for PCs with a payload; its size follows, as in real ones."""
    made = bytearray(0xA00)
    made[0x1F1] = 4
    made[0x1FE:0x206] = b"\x55\xaa\xeb\x6aHdrS"
    struct.pack_into("<H", made, 0x206, 0x20F)
    struct.pack_into("<H", made, 0x20E, 0x300)
    struct.pack_into("<II", made, 0x248, 0, len(payload) + 4)
    text = f"{VERSION} (somebody@example.com) #1\0".encode()
    made[0x500 : 0x500 + len(text)] = text
    return bytes(made) + payload + struct.pack("<I", len(payload))


def arm64_image() -> bytes:
    """Return a plain kernel for arm64."""
    return bytes(56) + b"ARM\x64" + bytes(range(256)) * 40


def zboot(payload: bytes) -> bytes:
    """Return a kernel that UEFI starts and that unpacks itself."""
    head = struct.pack("<4s4sII8x8s", b"MZ\0\0", b"zimg", 64, len(payload), b"gzip")
    return head.ljust(64, b"\0") + payload
