"""Kernels are decompressed as streams, whatever shape they come in."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import lz4.block
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.kernel_decompression import decompress_kernel

if TYPE_CHECKING:
    from collections.abc import Callable

_NOISE = random.Random(1)
KERNEL = b"".join(_NOISE.randbytes(1000) + bytes(50_000) for _ in range(200))


def lz4_legacy(data: bytes) -> bytes:
    out = [b"\x02\x21\x4c\x18"]
    for start in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[start : start + (8 << 20)], store_size=False)
        out += [struct.pack("<I", len(block)), block]
    return b"".join(out)


# What kernels are packed with; all but gzip have the plain size behind their payload.
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda d: gzip.compress(d, mtime=0),
    "zstd": lambda d: zstandard.ZstdCompressor(level=3).compress(d),
    "xz": lambda d: lzma.compress(
        d,
        check=lzma.CHECK_CRC32,
        filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 1}],
    ),
    "lzma": lambda d: lzma.compress(d, lzma.FORMAT_ALONE, preset=1),
    "bzip2": bz2.compress,
    "lz4": lz4_legacy,
}


def bzimage(payload: bytes, version: int = 0x20F) -> bytes:
    setup_sectors, offset = 7, 0x321
    start = (setup_sectors + 1) * 512 + offset
    image = bytearray(start)
    image[0x1F1] = setup_sectors
    image[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", image, 0x206, version)
    struct.pack_into("<II", image, 0x248, offset, len(payload))
    return bytes(image) + payload + b"more code" * 100


def zboot(payload: bytes) -> bytes:
    head = bytearray(0x1000)
    head[0:8] = b"MZ\0\0zimg"
    struct.pack_into("<II", head, 8, len(head), len(payload))
    return bytes(head) + payload + b"signature"


def plain(data: bytes, **options: int) -> bytes:
    return b"".join(decompress_kernel(io.BytesIO(data), "x/kernel:1", **options))


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("shape", ["file", "bzimage", "zboot"])
def test_a_kernel_in_any_shape(packer: str, shape: str) -> None:
    payload = PACKERS[packer](KERNEL)
    if shape != "file":
        payload += b"" if packer == "gzip" else struct.pack("<I", len(KERNEL))
    image = {"file": bytes, "bzimage": bzimage, "zboot": zboot}[shape](payload)
    assert plain(image) == KERNEL


def test_several_streams_one_after_the_other() -> None:
    packed = gzip.compress(KERNEL[:1000], mtime=0) + gzip.compress(KERNEL[1000:], mtime=0)
    assert plain(packed + bytes(100)) == KERNEL


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("kept", [0.5, 0.99])
def test_a_truncated_kernel_is_refused(packer: str, kept: float) -> None:
    packed = PACKERS[packer](KERNEL)
    refused(packed[: int(len(packed) * kept)], "is not whole")
    refused(bzimage(packed[: int(len(packed) * kept)]), "is not whole")


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "not compressed in a known way"),
        (b"\x7fELF" + bytes(5000), "not compressed in a known way"),
        (bzimage(b"\x7fELF"), "not compressed in a known way"),
        (bzimage(b"\x89LZO\0\r\n"), "compressed with lzo"),
        (bzimage(gzip.compress(b"x", mtime=0), 0x207), "boot protocol 2.07"),
    ],
)
def test_an_uncompressed_kernel_is_refused(image: bytes, message: str) -> None:
    refused(image, message)


@pytest.mark.parametrize("packer", PACKERS)
def test_a_bomb_is_stopped_early(packer: str) -> None:
    packed = PACKERS[packer](bytes(20 << 20))
    sizes: list[int] = []
    pieces = decompress_kernel(io.BytesIO(packed), "x/kernel:1", limit=1 << 20)
    with pytest.raises(PlanError, match="larger than 1 MiB"):
        sizes.extend(len(piece) for piece in pieces)
    assert sum(sizes) <= 1 << 20
    assert max(sizes, default=0) <= 1 << 19


@given(
    start=st.sampled_from(
        [b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ\0", b"BZh9", b"\x5d\0\0"]
    ),
    rest=st.binary(max_size=400),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_garbage_gives_an_error_or_a_kernel_and_nothing_else(start: bytes, rest: bytes) -> None:
    for image in (start + rest, bzimage(start + rest)):
        with suppress(PlanError):
            plain(image)


def refused(image: bytes, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        plain(image)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == rootfs.NOT_COMPRESSED
    assert message in diagnostic.message
    assert diagnostic.message.startswith("x/kernel:1 ")
