"""Compressors and their output: the same bytes whatever pieces the input comes in."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.encode.byte_sinks import CompressedOutput, ContentSummary, FileOutput
from assembler.encode.compression import CODECS, Compression

if TYPE_CHECKING:
    from pathlib import Path

_CHANCE = random.Random(7)
DATA = b"".join(
    _CHANCE.choice((b"some words that come again ", _CHANCE.randbytes(40))) for _ in range(36_000)
)


def compressed(
    path: Path, compression: Compression, cuts: list[int]
) -> tuple[bytes, ContentSummary]:
    """Compress the data in pieces that end where it is cut."""
    with path.open("wb") as file:
        output = CompressedOutput(file.fileno(), compression.start_piece())
        edges = sorted({0, *cuts, len(DATA)})
        pieces = [DATA[a:b] for a, b in itertools.pairwise(edges)]
        for start in range(0, len(pieces), 3):
            output.put(pieces[start])
            output.put_all([*pieces[start + 1 : start + 3]])
        output.finish()
    return path.read_bytes(), output.summary


@pytest.mark.parametrize("codec", list(CODECS))
def test_it_does_not_matter_where_the_input_is_cut(codec: str, tmp_path: Path) -> None:
    compression = Compression.parse(codec)
    whole, plain = compressed(tmp_path / "whole", compression, [])
    assert plain == ContentSummary.of(DATA)
    chance = random.Random(codec)
    for _ in range(3):
        cuts = [chance.randrange(len(DATA)) for _ in range(chance.choice((1, 7, 60)))]
        assert compressed(tmp_path / "cut", compression, cuts) == (whole, plain)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.binary(max_size=5000), max_size=30))
def test_files_get_all_pieces_in_order(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.getbasetemp() / "pieces"
    with path.open("wb") as file:
        output = FileOutput(file.fileno())
        for piece in pieces:
            output.put(memoryview(piece))
        output.finish()
    whole = b"".join(pieces)
    assert path.read_bytes() == whole
    assert (output.written, output.checksum) == (len(whole), ContentSummary.of(whole).crc32)
