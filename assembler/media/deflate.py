"""Deflate for disks: blocks that are compressed already are stored as they are.

A sample of each block tells whether compression gains anything.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING
from zlib import adler32

from isal.isal_zlib import crc32

from assembler.deflate_streams import FULL_FLUSH, DeflateStream, deflate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LEVEL = 1
_SAMPLE = 4096
# Sizes of stored blocks have 16 bits.
_MAX_STORED = 0xFFFF
_FINAL_BLOCK = b"\x03\x00"
# No name, no time, system unknown: the bytes are reproducible.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_ZLIB_HEADER = b"\x78\x01"


def deflate_block(data: bytes) -> bytes:
    """Return a zlib stream of a block."""
    if not _is_dense(data):
        return deflate(data, _LEVEL, 15)
    pieces = [_ZLIB_HEADER, *_stored_blocks(data), _FINAL_BLOCK, struct.pack(">I", adler32(data))]
    return b"".join(pieces)


def gzip_blocks(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip stream of blocks."""
    yield _GZIP_HEADER
    checksum = size = 0
    compressor = None
    for block in blocks:
        checksum = crc32(block, checksum)
        size += len(block)
        if _is_dense(block):
            if compressor is not None:
                yield compressor.flush(FULL_FLUSH)
                compressor = None
            yield from _stored_blocks(block)
            continue
        if compressor is None:
            compressor = DeflateStream(_LEVEL, -15)
        yield compressor.compress(block)
    if compressor is not None:
        yield compressor.flush(FULL_FLUSH)
    yield _FINAL_BLOCK + struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _is_dense(block: bytes) -> bool:
    """Tell whether compression gains nothing."""
    sample = block[len(block) // 2 :][:_SAMPLE]
    return len(sample) == _SAMPLE and len(deflate(sample, _LEVEL, 15)) >= len(sample)


def _stored_blocks(data: bytes) -> Iterator[bytes]:
    """Yield stored blocks with the bytes; none is the last of its stream."""
    for at in range(0, len(data), _MAX_STORED):
        part = data[at : at + _MAX_STORED]
        yield struct.pack("<BHH", 0, len(part), len(part) ^ _MAX_STORED)
        yield part
