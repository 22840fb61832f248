"""Compressed streams, unpacked piece by piece: where one ends is known, and it may be long."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from assembler.inspecting.source import CHUNK, BrokenError, Source, exactly

MAGICS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x02\x21\x4c\x18": "lz4",
}
_LZ4_MAGIC = 0x184C2102
_LZ4_BLOCK = 8 << 20
_XZ_MEMORY = 192 << 20
_ZSTD_WINDOW = 1 << 27
_SIP = 1 << 10
# Looking at more than this takes too long for what it tells.
MOST = 64 << 30


class _Inflater(Protocol):
    """What the libraries have in common."""

    @property
    def unused_data(self) -> bytes:
        """Return what was given behind the end."""

    @property
    def eof(self) -> bool:
        """Tell whether the end was reached."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return what data gives."""


def codec_of(head: bytes) -> str:
    """Return how something is compressed that begins so, or nothing."""
    return next((codec for magic, codec in MAGICS.items() if head.startswith(magic)), "")


class Unpacker:
    """The content of a compressed stream; `end` is where it ends, once all was yielded."""

    def __init__(self, source: Source, at: int, codec: str) -> None:
        """Read a source from `at` on."""
        self._source = source
        self._codec = codec
        self.end = at

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content."""
        taken = 0
        for chunk in self._lz4() if self._codec == "lz4" else self._inflated():
            taken += len(chunk)
            if taken > MOST:
                raise BrokenError("it unpacks to more than can be looked at")
            yield chunk

    def _inflated(self) -> Iterator[bytes]:
        inflater = _START[self._codec]()
        position = self.end
        while data := self._source.read(position, CHUNK):
            position += len(data)
            behind = 0
            try:
                yield from _all(inflater, data)
            except _BehindError as error:
                behind = error.count
            except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
                raise BrokenError(f"its {self._codec} is broken: {error}") from error
            except Exception as error:
                # Errors of the zstd library have no common class with others.
                if type(error).__name__ != "ZstdError":
                    raise
                raise BrokenError(f"its {self._codec} is broken: {error}") from error
            if inflater.eof:
                self.end = position - behind - len(inflater.unused_data)
                return
        raise BrokenError("it is cut short")

    def _lz4(self) -> Iterator[bytes]:
        import lz4.block  # noqa: PLC0415

        position = self.end + 4
        while True:
            head = self._source.read(position, 4)
            (size,) = struct.unpack("<I", head) if len(head) == 4 else (0,)
            if size == _LZ4_MAGIC:
                position += 4
                continue
            if not 0 < size <= _LZ4_BLOCK * 2:
                self.end = position
                return
            data = exactly(self._source, position + 4, size)
            try:
                yield lz4.block.decompress(data, uncompressed_size=_LZ4_BLOCK)
            except lz4.block.LZ4BlockError as error:
                raise BrokenError(f"its lz4 is broken: {error}") from error
            position += 4 + size


def _all(inflater: _Inflater, data: bytes) -> Iterator[bytes]:
    """Yield what data gives, never much at once."""
    if isinstance(inflater, _Bounded):
        yield from inflater.pieces(data)
        return
    # zstd gives all that data stands for, which may be thirty thousand times as much.
    for at in range(0, len(data), _SIP):
        if inflater.eof:
            raise _BehindError(len(data) - at)
        if out := inflater.decompress(data[at : at + _SIP]):
            yield out


class _BehindError(Exception):
    """The end was reached; so many bytes behind it were not given to the inflater."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class _Bounded:
    """gzip, xz or bzip2: asked for a piece at a time."""

    def __init__(self, kind: str) -> None:
        self._gzip = zlib.decompressobj(31) if kind == "gzip" else None
        self._other = (
            lzma.LZMADecompressor(memlimit=_XZ_MEMORY) if kind == "xz" else bz2.BZ2Decompressor()
        )

    @property
    def eof(self) -> bool:
        return self._gzip.eof if self._gzip else self._other.eof

    @property
    def unused_data(self) -> bytes:
        return self._gzip.unused_data if self._gzip else self._other.unused_data

    def decompress(self, data: bytes) -> bytes:
        return b"".join(self.pieces(data))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        if self._gzip is not None:
            while data and not self._gzip.eof:
                yield self._gzip.decompress(data, CHUNK)
                data = self._gzip.unconsumed_tail
            return
        yield self._other.decompress(data, CHUNK)
        while not self._other.eof and not self._other.needs_input:
            yield self._other.decompress(b"", CHUNK)


def _zstd() -> _Inflater:
    import zstandard  # noqa: PLC0415

    found: _Inflater = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    return found


_START: dict[str, Callable[[], _Inflater]] = {
    "gzip": lambda: _Bounded("gzip"),
    "xz": lambda: _Bounded("xz"),
    "bzip2": lambda: _Bounded("bzip2"),
    "zstd": _zstd,
}
