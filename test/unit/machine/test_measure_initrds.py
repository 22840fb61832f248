"""The unpacked size of an initrd is measured before a machine is started."""

from __future__ import annotations

import gzip
import itertools
import os
import random
from typing import TYPE_CHECKING

import pytest

from assembler.diagnostics import Severity
from assembler.encode.compression import CODECS, Compression
from assembler.errors import MachineError
from assembler.machine import initrd_memory
from support.booting import archive

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NO_LIMIT = 1 << 40
BIG = 40 << 20


def packed(codec: str, content: bytes) -> bytes:
    compressor = Compression(codec, CODECS[codec].default).start()
    return compressor.compress(content) + compressor.flush()


def plain_archive(size: int) -> bytes:
    return gzip.decompress(archive({"file": (0o100644, bytes(size))}))


@pytest.mark.parametrize("codec", CODECS)
def test_each_codec_is_measured(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "initrd"
    content = plain_archive(BIG)
    path.write_bytes(packed(codec, content))
    assert initrd_memory.unpacked_initrd_size(path, NO_LIMIT) == len(content)


def test_joined_archives_are_measured(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    content = plain_archive(10 << 20)
    padding = itertools.cycle((b"", bytes(4), bytes(3 << 20)))
    order = ["none", *CODECS, *reversed(CODECS)]
    path.write_bytes(b"".join(packed(c, content) + next(padding) for c in order))
    measured = initrd_memory.unpacked_initrd_size(path, NO_LIMIT)
    assert measured == len(order) * len(content)


def test_measuring_ends_at_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    path.write_bytes(packed("zstd", bytes(1 << 28)) + packed("xz", bytes(1 << 24)))
    assert 20 << 20 < initrd_memory.unpacked_initrd_size(path, 20 << 20) < 30 << 20


@pytest.mark.parametrize("codec", [c for c in CODECS if c != "none"])
def test_a_damaged_archive_counts_up_to_the_damage(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "initrd"
    whole = packed(codec, random.Random(1).randbytes(1 << 18) * 4)
    path.write_bytes(whole[: len(whole) // 2])
    assert initrd_memory.unpacked_initrd_size(path, NO_LIMIT) <= 1 << 20
    path.write_bytes(whole[:1000] + b"\xff" * 5000 + whole[6000:])
    assert initrd_memory.unpacked_initrd_size(path, NO_LIMIT) <= 2 << 20
    path.write_bytes(b"070701" + b"zz" * 100)
    assert initrd_memory.unpacked_initrd_size(path, NO_LIMIT) == 206


def test_too_little_memory_is_refused_with_a_sufficient_size(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    for codec in ("zstd", "lz4", "none"):
        path.write_bytes(packed(codec, plain_archive(100 << 20) + os.urandom(6 << 20)))
        initrd_memory.check_initrd_memory(path, 512)
        with pytest.raises(MachineError, match="128 MB of memory are too little") as caught:
            initrd_memory.check_initrd_memory(path, 128)
        assert "--mem 512" in str(caught.value)


def test_memory_that_hardly_suffices_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    noise = random.Random(1).randbytes(20 << 20)
    path.write_bytes(packed("gzip", gzip.decompress(archive({"file": (0o100644, noise)}))))
    doubt = initrd_memory.check_initrd_memory(path, 100)
    assert doubt is not None
    assert doubt.severity is Severity.WARNING
    # 49 MB, those of the file as it is packed, and twice those when it is unpacked.
    assert doubt.hints == ("give the machine more: --mem 110",)
    assert initrd_memory.check_initrd_memory(path, 110) is None
    assert initrd_memory.memory_to_come_up(path, 100) == 110
    assert initrd_memory.memory_to_come_up(path, 110) is None
    assert initrd_memory.memory_to_come_up(tmp_path / "missing", 100) is None


def test_in_a_ramfs_an_initrd_may_fill_more_than_half_of_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "initrd"
    noise = random.Random(1).randbytes(60 << 20)
    path.write_bytes(packed("gzip", gzip.decompress(archive({"file": (0o100644, noise)}))))
    line = "console=ttyS0 rootfstype=ramfs"
    # 65 MB, those of the file as it is packed, and those when it is unpacked.
    assert initrd_memory.check_initrd_memory(path, 186, command_line=line) is None
    assert initrd_memory.memory_to_come_up(path, 180, command_line=line) == 186
    assert initrd_memory.check_initrd_memory(path, 186) is not None
    with pytest.raises(MachineError, match=r"unpacks to 60 MB or more") as caught:
        initrd_memory.check_initrd_memory(path, 160, command_line=line)
    assert "half" not in caught.value.diagnostics[0].message
