"""Pieces that were compressed apart join into one stream, checksums included."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.encode.compression import Compression
from assembler.encode.joined import JoinedArchive, joined_crc32
from assembler.encode.newc import TRAILER
from assembler.encode.output import Plain
from assembler.errors import UsageError


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_checksums_of_pieces_join(first: bytes, second: bytes) -> None:
    joined = joined_crc32(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


@pytest.mark.parametrize("size", [0, 1, 1 << 20, (1 << 32) + 7, 1 << 41])
def test_checksums_of_large_pieces_join(size: int) -> None:
    # Zeros by the gigabyte, without having them: the sum of two halves is that of the whole.
    half, odd = divmod(size, 2)
    whole, part = 0, zlib.crc32(b"")
    for bit in f"{half:b}":
        part = joined_crc32(part, part, int(half > 0) and whole)
        whole *= 2
        if bit == "1":
            part, whole = zlib.crc32(b"\0", part), whole + 1
    assert whole == half
    twice = joined_crc32(part, part, half)
    total = zlib.crc32(b"\0" * odd, twice)
    assert joined_crc32(zlib.crc32(b"x"), total, size) == joined_crc32(
        joined_crc32(zlib.crc32(b"x"), twice, 2 * half), zlib.crc32(b"\0" * odd), odd
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=6), st.sampled_from([1, 2, 3, 6, 9]))
def test_gzip_pieces_are_one_member(pieces: list[bytes], level: int) -> None:
    out = io.BytesIO()
    archive = JoinedArchive(out, Compression("gzip", level))
    archive.begin()
    for piece in pieces:
        stream = archive.compression.start_piece()
        out.write(stream.compress(piece) + stream.flush())
        archive.account(Plain.of(piece))
    archive.end()
    inflated = zlib.decompressobj(31)
    assert inflated.decompress(out.getvalue()) == b"".join(pieces) + TRAILER
    assert inflated.eof
    assert not inflated.unused_data
    assert gzip.decompress(out.getvalue())


@pytest.mark.parametrize("text", ["gzip:0", "zstd:23", "lz5", "none:1", "", "gzip:", "xz:10"])
def test_what_is_no_compression_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Compression.parse(text)


@pytest.mark.parametrize("text", ["gzip:1", "gzip:9", "zstd:3", "lz4:12", "xz:0", "none"])
def test_a_compression_reads_what_it_writes(text: str) -> None:
    assert str(Compression.parse(text)) == text
