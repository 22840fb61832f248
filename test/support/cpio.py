"""An initrd taken apart as the kernel does: archives one after the other, of any codec."""

from __future__ import annotations

import lzma
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import lz4.block
import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator

_LZ4 = b"\x02\x21\x4c\x18"


@dataclass(frozen=True)
class Found:
    """An entry; the inode includes the device it is on."""

    name: str
    mode: int
    uid: int
    gid: int
    links: int
    inode: tuple[int, int, int]
    data: bytes


def archives_of(data: bytes) -> Iterator[list[Found]]:
    """Yield the entries of each archive; zeros between archives are passed over."""
    while data := data.lstrip(b"\0"):
        if data[:6] == b"070701":
            entries, data = _entries(data)
            yield entries
            continue
        plain, data = _unpacked(data)
        entries, rest = _entries(plain)
        assert not rest.strip(b"\0"), "something stands behind the trailer"
        # The last piece has the trailer only.
        if entries:
            yield entries


def _unpacked(data: bytes) -> tuple[bytes, bytes]:
    if data[:2] == b"\x1f\x8b":
        stream = zlib.decompressobj(31)
        return stream.decompress(data), stream.unused_data
    if data[:4] == b"\x28\xb5\x2f\xfd":
        frame = zstandard.ZstdDecompressor().decompressobj()
        return frame.decompress(data), frame.unused_data
    if data[:6] == b"\xfd7zXZ\0":
        xz = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        return xz.decompress(data), xz.unused_data
    assert data[:4] == _LZ4, data[:8]
    plain, at = b"", 4
    while at + 4 <= len(data):
        (size,) = struct.unpack_from("<I", data, at)
        if not size or data[at : at + 4] == _LZ4:
            break
        block = data[at + 4 : at + 4 + size]
        plain += lz4.block.decompress(block, uncompressed_size=8 << 20)
        at += 4 + size
    return plain, data[at:]


def _entries(data: bytes) -> tuple[list[Found], bytes]:
    found: list[Found] = []
    at = 0
    # Only the last piece has a trailer.
    while at < len(data):
        assert data[at : at + 6] == b"070701", f"no entry at {at}"
        numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        inode, mode, uid, gid, links, _time, size, major, minor, _, _, length, _ = numbers
        name = data[at + 110 : at + 109 + length].decode("utf-8", "surrogateescape")
        start = -(-(at + 110 + length) // 4) * 4
        at = -(-(start + size) // 4) * 4
        if name == "TRAILER!!!":
            return found, data[at:]
        content = data[start : start + size]
        found.append(Found(name, mode, uid, gid, links, (major, minor, inode), content))
    return found, b""
