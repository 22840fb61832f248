"""What disks are compressed with can be read by zlib, whether it was worth it or not."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest

from assembler.media.deflate import deflate_block, gzip_blocks

NOISE = random.Random(1).randbytes(200_000)
TEXT = b"all work and no play " * 9000
BLOCKS = [b"", b"x", TEXT, NOISE, NOISE[:65535], NOISE[:65536], NOISE[:4096], TEXT[:9] + NOISE]


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_a_block(block: bytes) -> None:
    packed = deflate_block(block)
    assert zlib.decompress(packed) == block
    assert len(packed) <= len(block) + 100


def test_blocks_of_both_sorts() -> None:
    order = random.Random(2).choices(BLOCKS, k=40)
    packed = b"".join(gzip_blocks(order))
    assert gzip.decompress(packed) == b"".join(order)
    assert packed[4:8] == bytes(4)


def test_compressible_data_is_compressed() -> None:
    assert len(deflate_block(TEXT)) < len(TEXT) // 20
    assert len(b"".join(gzip_blocks([TEXT] * 5))) < len(TEXT)


def test_empty_input() -> None:
    assert gzip.decompress(b"".join(gzip_blocks([]))) == b""
