"""Compressed streams, decompressed in pieces: the end is known, and any length is possible."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from typing import TYPE_CHECKING, Protocol

from assembler import magics
from assembler.inspection.source import CHUNK, CorruptDataError, DataSource, read_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LZ4_MAGIC = int.from_bytes(magics.LZ4_LEGACY, "little")
_LZ4_BLOCK_SIZE = 8 << 20
_MAX_XZ_MEMORY = 192 << 20
_MAX_ZSTD_WINDOW = 1 << 27
_INPUT_STEP = 1 << 10
# Reading more takes too long.
MAX_SIZE = 64 << 30


class _StreamDecompressor(Protocol):
    """The common interface of the libraries."""

    @property
    def unused_data(self) -> bytes:
        """Return the input behind the end."""

    @property
    def eof(self) -> bool:
        """Tell whether the end was reached."""

    def decompress(self, data: bytes, /) -> bytes:
        """Return what data gives."""


def compression_of(head: bytes) -> str:
    """Return the compression of data that begins with `head`, if it can be decompressed here."""
    name = magics.compression_of(head)
    return name if name == "lz4" or name in _DECOMPRESSORS else ""


class StreamContent:
    """The content of a compressed stream; `end` is its end, once all content was yielded."""

    def __init__(self, source: DataSource, at: int, codec: str) -> None:
        """Read a source from `at` on."""
        self._source = source
        self._codec = codec
        self.end = at

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content."""
        taken = 0
        for chunk in self._lz4() if self._codec == "lz4" else self._inflated():
            taken += len(chunk)
            if taken > MAX_SIZE:
                raise CorruptDataError("it decompresses to too much data")
            yield chunk

    def _inflated(self) -> Iterator[bytes]:
        inflater = _DECOMPRESSORS[self._codec]()
        position = self.end
        while data := self._source.read(position, CHUNK):
            position += len(data)
            behind = 0
            try:
                yield from _decompress_stepwise(inflater, data)
            except _StreamEndError as error:
                behind = error.count
            except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
                raise CorruptDataError(f"its {self._codec} is corrupt: {error}") from error
            except Exception as error:
                # Errors of the zstd library have no common class with others.
                if type(error).__name__ != "ZstdError":
                    raise
                raise CorruptDataError(f"its {self._codec} is corrupt: {error}") from error
            if inflater.eof:
                self.end = position - behind - len(inflater.unused_data)
                return
        raise CorruptDataError("it is cut short")

    def _lz4(self) -> Iterator[bytes]:
        import lz4.block  # noqa: PLC0415

        position = self.end + 4
        while True:
            head = self._source.read(position, 4)
            (size,) = struct.unpack("<I", head) if len(head) == 4 else (0,)
            if size == _LZ4_MAGIC:
                position += 4
                continue
            if not 0 < size <= _LZ4_BLOCK_SIZE * 2:
                self.end = position
                return
            data = read_exactly(self._source, position + 4, size)
            try:
                yield lz4.block.decompress(data, uncompressed_size=_LZ4_BLOCK_SIZE)
            except lz4.block.LZ4BlockError as error:
                raise CorruptDataError(f"its lz4 is corrupt: {error}") from error
            position += 4 + size


def _decompress_stepwise(inflater: _StreamDecompressor, data: bytes) -> Iterator[bytes]:
    """Yield the content of data in small pieces."""
    if isinstance(inflater, _BoundedDecompressor):
        yield from inflater.pieces(data)
        return
    # zstd returns all content at once, which may be thirty thousand times as much.
    for at in range(0, len(data), _INPUT_STEP):
        if inflater.eof:
            raise _StreamEndError(len(data) - at)
        if out := inflater.decompress(data[at : at + _INPUT_STEP]):
            yield out


class _StreamEndError(Exception):
    """The end was reached; so many bytes behind it were not given to the decompressor."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


class _BoundedDecompressor:
    """gzip, xz or bzip2, with a limit for each piece."""

    def __init__(self, kind: str) -> None:
        self._gzip = zlib.decompressobj(31) if kind == "gzip" else None
        self._other = (
            lzma.LZMADecompressor(memlimit=_MAX_XZ_MEMORY)
            if kind == "xz"
            else bz2.BZ2Decompressor()
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


def _zstd_decompressor() -> _StreamDecompressor:
    import zstandard  # noqa: PLC0415

    found: _StreamDecompressor = zstandard.ZstdDecompressor(
        max_window_size=_MAX_ZSTD_WINDOW
    ).decompressobj()
    return found


_DECOMPRESSORS: dict[str, Callable[[], _StreamDecompressor]] = {
    "gzip": lambda: _BoundedDecompressor("gzip"),
    "xz": lambda: _BoundedDecompressor("xz"),
    "bzip2": lambda: _BoundedDecompressor("bzip2"),
    "zstd": _zstd_decompressor,
}
