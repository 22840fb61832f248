"""What an initrd consists of: its files by kind, each kind compressed by itself."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from typing import TYPE_CHECKING

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = 110
_GZIP, _ZSTD, _XZ, _BZIP2 = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"
# By the first that a path begins with.
KINDS = {
    "modules": ("usr/lib/modules/", "lib/modules/"),
    "containers": ("containers/",),
    "crun": ("usr/bin/crun",),
    "init": ("init", "usr/sbin/init"),
    "libraries": ("usr/lib/", "lib/", "lib64/", "usr/lib64/"),
    "other files": ("",),
}


def packed_sizes(initrd: bytes) -> dict[str, int]:
    """Return how many bytes each kind of file takes, compressed as the initrd is."""
    contents: dict[str, list[bytes]] = {kind: [] for kind in KINDS}
    for path, content in archive_files(unpacked(initrd)):
        kind = next(k for k, starts in KINDS.items() if path.startswith(starts))
        contents[kind].append(content)
    packs = _zstd if _uses_zstd(initrd) else _gzip
    return {kind: len(packs(b"".join(pieces))) for kind, pieces in contents.items()}


def unpacked(initrd: bytes) -> bytes:
    """Return an initrd without its compression; its parts may have different ones."""
    out = []
    rest = initrd
    while rest := rest.lstrip(b"\0"):
        if rest.startswith(_ZSTD):
            stream = zstandard.ZstdDecompressor().decompressobj()
        elif rest.startswith(_GZIP):
            stream = zlib.decompressobj(31)
        elif rest.startswith(_XZ):
            stream = lzma.LZMADecompressor()
        elif rest.startswith(_BZIP2):
            stream = bz2.BZ2Decompressor()
        else:
            return b"".join([*out, rest])
        out.append(stream.decompress(rest))
        rest = stream.unused_data
    return b"".join(out)


def archive_files(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the paths and contents of regular files."""
    at = 0
    while at + _HEADER <= len(data):
        if data[at : at + 6] != b"070701":
            # Zeros between archives.
            at += 4
            continue
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        path = data[at + _HEADER : at + _HEADER + length - 1].decode("utf-8", "replace")
        at += -(-(_HEADER + length) // 4) * 4
        if mode & 0o170000 == 0o100000:
            yield path, data[at : at + size]
        at += -(-size // 4) * 4


def _uses_zstd(initrd: bytes) -> bool:
    return initrd.startswith(_ZSTD)


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, 1)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(data)
