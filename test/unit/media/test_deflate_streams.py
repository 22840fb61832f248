"""Streams of isal: the same bytes in each process, and what zlib unpacks."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib

import pytest

from assembler.deflate_streams import FULL_FLUSH, DeflateStream, deflate

# Each stream repeats its first bytes, and each process has its own addresses.
SCRIPT = """
import hashlib, sys
from assembler.deflate_streams import deflate
found = hashlib.sha256()
between, after = bytes(range(256)), bytes(range(255, 0, -1)) * 2
for number in range(3000):
    head = hashlib.md5(b"%d" % number).digest()
    found.update(deflate(head + between + head + after, int(sys.argv[1]), int(sys.argv[2])))
print(found.hexdigest())
"""


@pytest.mark.parametrize("wbits", [-15, 15, 31])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_each_process_gives_the_same_bytes(level: int, wbits: int) -> None:
    """A third of the processes differed from the others, with streams of isal alone."""
    command = [sys.executable, "-c", SCRIPT, str(level), str(wbits)]
    env = {"PYTHONPATH": os.pathsep.join(sys.path)}
    found = {
        subprocess.run(command, env=env, capture_output=True, check=True).stdout for _ in range(8)
    }
    assert len(found) == 1


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 33, 5000, 100_000])
@pytest.mark.parametrize("piece", [1, 7, 16, 100_000])
def test_zlib_unpacks_streams(level: int, size: int, piece: int) -> None:
    data = (b"the same words, and again " * (size // 26 + 1))[:size]
    stream = DeflateStream(level, 31)
    pieces = [data[at : at + piece] for at in range(0, size, piece)]
    packed = b"".join(map(stream.compress, pieces)) + stream.flush()
    assert zlib.decompress(packed, 31) == data
    assert zlib.decompress(deflate(data, level, 15)) == data


def test_pieces_that_end_with_a_full_flush_can_be_joined() -> None:
    first, second = b"one " * 50, b"two"
    joined = b""
    for data in (first, second):
        stream = DeflateStream(1, -15)
        joined += stream.compress(data) + stream.flush(FULL_FLUSH)
    assert zlib.decompress(joined + b"\x03\x00", -15) == first + second
