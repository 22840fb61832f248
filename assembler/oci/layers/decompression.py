"""Decompression of layers: gzip, zstd or plain, detected by content, strict and bounded.

A chunk has at most CHUNK_SIZE bytes. A stream that is cut off, has a wrong checksum or trailing
data raises `MalformedTarError`; so does one that exceeds the `LayerLimits`. gzip always has a
checksum of the content; the other layers are compared with their digest while they are read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol

from assembler import magics
from assembler.oci.digest import digest_hex, is_digest
from assembler.oci.image_limits import MAX_IMAGE_SIZE
from assembler.oci.layers.tar_fields import MalformedTarError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK_SIZE = 256 << 10
_INPUT = 128 << 10
_GZIP = magics.GZIP
_ZSTD = magics.ZSTD
# The default limit of the zstd tools; an honest stream needs no more.
_LARGEST_WINDOW = 128 << 20
_UNSUPPORTED = {
    magics.XZ: "xz",
    magics.BZIP2: "bzip2",
    magics.LZ4_FRAME: "lz4",
    magics.LZ4_LEGACY: "lz4",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True, slots=True)
class LayerLimits:
    """The largest content of a layer: `floor` bytes, or `ratio` times its stored size if more.

    All layers of an image together have at most `image` bytes.
    Real layers grow three times, seldom twenty times. Layers that grow more, or have more entries,
    are made to fill a disk or the memory, or hold a disk image full of zeros.
    """

    ratio: int = 250
    floor: int = 1 << 30
    entries: int = 4_000_000
    image: int = MAX_IMAGE_SIZE

    def of(self, stored: int) -> int:
        """Return the largest content of a layer of `stored` bytes."""
        return max(self.floor, self.ratio * stored)


def decompress_layer(
    file: IO[bytes], stored: int, limits: LayerLimits, digest: str = ""
) -> Iterator[bytes]:
    """Yield the content of a layer whose blob has `stored` bytes, and a digest if it is known."""
    left = limits.of(stored)
    for chunk in _chunks(file, digest):
        left -= len(chunk)
        if left < 0:
            raise MalformedTarError(
                f"it grows beyond {limits.of(stored) >> 20} MiB, from {stored} bytes stored"
            )
        yield chunk


def _chunks(file: IO[bytes], digest: str) -> Iterator[bytes]:
    head = file.read(_INPUT)
    if head[:2] == _GZIP:
        return _gunzip(file, head)
    source = _HashedFile(file) if is_digest(digest) else file
    if head[:4] == _ZSTD or _is_skippable(head):
        file.seek(0)
        chunks = _unzstd(source)
    else:
        for magic, name in _UNSUPPORTED.items():
            if head.startswith(magic):
                raise MalformedTarError(
                    f"it is compressed with {name}; images have gzip, zstd or plain layers"
                )
        if isinstance(source, _HashedFile):
            source.hasher.update(head)
        chunks = _plain(source, head)
    return _verified(chunks, source, digest) if isinstance(source, _HashedFile) else chunks


def _verified(chunks: Iterator[bytes], source: _HashedFile, digest: str) -> Iterator[bytes]:
    """Yield the chunks, then raise an error unless the file has this digest."""
    yield from chunks
    if source.hasher.hexdigest() != digest_hex(digest):
        raise MalformedTarError("its content does not match its digest")


class _Readable(Protocol):
    """What the functions here read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""


class _HashedFile:
    """A file that is hashed as it is read."""

    __slots__ = ("_file", "hasher")

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hasher = hashlib.sha256(usedforsecurity=False)

    def read(self, size: int, /) -> bytes:
        data = self._file.read(size)
        self.hasher.update(data)
        return data


def _plain(file: _Readable, head: bytes) -> Iterator[bytes]:
    while head:
        yield head
        head = file.read(CHUNK_SIZE)


def _gunzip(file: IO[bytes], data: bytes) -> Iterator[bytes]:
    from isal import igzip_lib  # noqa: PLC0415 - takes a while

    broken: Any = igzip_lib.IsalError  # the stubs have it as a value
    read = file.read
    try:
        while data:
            if data[:2] != _GZIP[: len(data)]:
                raise MalformedTarError("there is data after the end of its gzip stream")
            stream = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
            decompress = stream.decompress
            while True:
                out = decompress(data, CHUNK_SIZE)
                if out:
                    yield out
                if stream.eof:
                    data = stream.unused_data or read(_INPUT)
                    if len(data) == 1:
                        data += read(_INPUT)
                    break
                if stream.needs_input:
                    data = read(_INPUT)
                    if not data:
                        raise MalformedTarError("its gzip stream is cut off")
                else:
                    data = b""
    except broken as error:
        raise MalformedTarError(f"its gzip stream is broken: {error}") from None


def _is_skippable(head: bytes) -> bool:
    return len(head) >= 4 and head[0] & 0xF0 == 0x50 and head[1:4] == b"\x2a\x4d\x18"


def _unzstd(file: _Readable) -> Iterator[bytes]:
    """Decompress frame by frame, passing single blocks to the library.

    The library's readers accept a cut stream as complete, and return gigabytes for a few bytes at
    once. A block has at most 128 KiB of content, so memory is bounded.
    """
    import zstandard  # noqa: PLC0415 - takes a while

    while magic := file.read(4):
        if _is_skippable(magic):
            size = int.from_bytes(_exactly(file, 4), "little")
            while size:
                size -= len(_exactly(file, min(size, _INPUT)))
            continue
        if magic != _ZSTD:
            raise MalformedTarError("there is data after the end of its zstd stream")
        try:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_LARGEST_WINDOW)
            yield from _frame(file, decompressor.decompressobj().decompress)
        except zstandard.ZstdError as error:
            raise MalformedTarError(f"its zstd stream is broken: {error}") from None


def _frame(file: _Readable, decompress: Callable[[bytes], bytes]) -> Iterator[bytes]:
    descriptor = _exactly(file, 1)
    flags = descriptor[0]
    single = flags >> 5 & 1
    rest = (0 if single else 1) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
    out = decompress(_ZSTD + descriptor + _exactly(file, rest))
    last = False
    while not last:
        header = _exactly(file, 3)
        word = int.from_bytes(header, "little")
        last = bool(word & 1)
        stored = 1 if word >> 1 & 3 == 1 else word >> 3
        if stored > 128 << 10:
            raise MalformedTarError("its zstd stream is broken: a block is too large")
        out += decompress(header + _exactly(file, stored))
        if len(out) >= CHUNK_SIZE - (128 << 10):
            yield out
            out = b""
    if flags >> 2 & 1:
        out += decompress(_exactly(file, 4))
    if out:
        yield out


def _exactly(file: _Readable, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise MalformedTarError("its zstd stream is cut off")
    return data
