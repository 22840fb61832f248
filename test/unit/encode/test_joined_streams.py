"""Separately compressed streams are joined into one, with their checksums."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.encode.byte_sinks import ContentSummary
from assembler.encode.compression import Compression
from assembler.encode.joined_archive import JoinedArchive
from assembler.encode.newc_encoder import TRAILER
from assembler.errors import UsageError


@settings(deadline=None)
@given(st.lists(st.binary(max_size=3000), max_size=6), st.sampled_from([1, 2, 3, 6, 9]))
def test_joined_gzip_streams_are_one_member(pieces: list[bytes], level: int) -> None:
    out = io.BytesIO()
    archive = JoinedArchive(out, Compression("gzip", level))
    archive.begin()
    for piece in pieces:
        stream = archive.compression.start_piece()
        out.write(stream.compress(piece) + stream.flush())
        archive.add_piece(ContentSummary.of(piece))
    archive.end()
    inflated = zlib.decompressobj(31)
    assert inflated.decompress(out.getvalue()) == b"".join(pieces) + TRAILER
    assert inflated.eof
    assert not inflated.unused_data
    assert gzip.decompress(out.getvalue())


@pytest.mark.parametrize("text", ["gzip:0", "zstd:23", "lz5", "none:1", "", "gzip:", "xz:10"])
def test_an_unknown_compression_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Compression.parse(text)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("gzip:0", "gzip has no level 0", "its levels are 1 to 9"),
        ("xz:10", "xz has no level 10", "its levels are 0 to 9"),
        ("none:1", "none has no level 1", "write none alone"),
        (
            "lz5",
            "--compression: 'lz5' is not a compression",
            "use auto, or one of gzip, zstd, lz4, xz, none, optionally with a level, as in zstd:19",
        ),
    ],
)
def test_the_hint_says_which_compressions_there_are(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        Compression.parse(text)
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.message, diagnostic.hints) == (message, (hint,))


@pytest.mark.parametrize("text", ["gzip:1", "gzip:9", "zstd:3", "lz4:12", "xz:0", "none"])
def test_a_codec_reads_its_own_output(text: str) -> None:
    assert str(Compression.parse(text)) == text
