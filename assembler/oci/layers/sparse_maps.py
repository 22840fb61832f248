"""The maps of sparse files in tar archives: which ranges hold data, in GNU's and pax's formats."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from assembler.oci.layers.tar_fields import MalformedTarError, parse_decimal, parse_size

_MAX_RANGES = 1 << 20
_BLOCK_SIZE = 512
_ZEROS = bytes(1 << 16)

# Offset and length of each range.
SparseMap = Sequence[tuple[int, int]]
TakeBytes = Callable[[int], bytes]
ContentSink = Callable[[bytes | memoryview], object]


def check_sparse_map(pieces: SparseMap, size: int, stored: int) -> SparseMap:
    """Return the map of a sparse file if its ranges are in order and within the file."""
    at = total = 0
    for offset, length in pieces:
        if offset < at or length < 0:
            raise MalformedTarError("its map of holes is out of order")
        at = offset + length
        total += length
    if at > size or total > stored:
        raise MalformedTarError("its map of holes does not fit its size")
    return [p for p in pieces if p[1]]


def parse_pax_sparse_map(text: bytes) -> SparseMap:
    """Parse the map of pax sparse format 0.1: offset,length,offset,length …"""
    words = text.split(b",") if text else []
    if len(words) % 2 or len(words) > 2 * _MAX_RANGES:
        raise MalformedTarError("its map of holes is broken")
    values = [parse_decimal(w, "map of holes") for w in words]
    return list(zip(values[::2], values[1::2], strict=True))


def parse_gnu_sparse_map(block: bytes, start: int, count: int) -> SparseMap:
    """Parse the pairs of offset and length in an old GNU sparse header."""
    found = []
    for i in range(count):
        at = start + 24 * i
        if not block[at : at + 24].strip(b"\0 "):
            break
        found.append((parse_size(block[at : at + 12]), parse_size(block[at + 12 : at + 24])))
    return found


def read_gnu_sparse_map(header: bytes, take: TakeBytes) -> SparseMap:
    """Read the map of GNU's old sparse format: in the header and the blocks after it."""
    pieces = list(parse_gnu_sparse_map(header, 386, 4))
    more = header[482]
    while more:
        block = take(_BLOCK_SIZE)
        pieces += parse_gnu_sparse_map(block, 0, 21)
        more = block[504]
        if len(pieces) > _MAX_RANGES:
            raise MalformedTarError("its map of holes is broken")
    return pieces


def read_leading_sparse_map(stored: int, take: TakeBytes) -> tuple[SparseMap, int]:
    """Read the map of pax sparse format 1.0, which precedes the data; return it and its size."""
    words: list[bytes] = []
    rest = b""
    size = 0
    while not words or len(words) < 1 + 2 * parse_decimal(words[0], "map of holes"):
        if stored - size < _BLOCK_SIZE or len(words) > 2 * _MAX_RANGES:
            raise MalformedTarError("its map of holes is broken")
        block = rest + take(_BLOCK_SIZE)
        size += _BLOCK_SIZE
        *more, rest = block.split(b"\n")
        words += more
    values = [parse_decimal(w, "map of holes") for w in words]
    count = 2 * values[0]
    return list(zip(values[1 : 1 + count : 2], values[2 : 2 + count : 2], strict=True)), size


def put_zeros(size: int, put: ContentSink) -> None:
    """Write the zeros of a hole."""
    while size > 0:
        part = min(size, len(_ZEROS))
        put(_ZEROS if part == len(_ZEROS) else bytes(part))
        size -= part
