"""Compression of outputs: the codecs that the Linux kernel can unpack an initrd with.

Each codec streams with little memory, gives the same bytes for the same input and library, and uses
the frame that the kernel's unpackers need: lz4 in the legacy format, xz with CRC32 and a small
dictionary.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from assembler.codes import output as codes
from assembler.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.encode.byte_sinks import Bytes, Compressor

_LZ4_MAGIC = 0x184C2102
_LZ4_BLOCK = 8 << 20
_XZ_DICTIONARY = 1 << 20
# Z_FULL_FLUSH of zlib: later data does not refer to earlier data.
_FULL_FLUSH = 3


@dataclass(frozen=True, slots=True)
class Codec:
    """A compression format and its properties."""

    name: str
    levels: range
    default: int
    # The module whose version determines the bytes; empty for the standard library.
    library: str
    # The kernel option that is needed to unpack it.
    kernel_option: str
    # Whether separately compressed pieces can be joined into one stream.
    joins: bool = False


CODECS = {
    c.name: c
    for c in (
        Codec("gzip", range(1, 10), 1, "isal", "CONFIG_RD_GZIP", joins=True),
        Codec("zstd", range(1, 23), 3, "zstandard", "CONFIG_RD_ZSTD"),
        Codec("lz4", range(1, 13), 1, "lz4", "CONFIG_RD_LZ4"),
        Codec("xz", range(10), 6, "", "CONFIG_RD_XZ"),
        Codec("none", range(1), 0, "", "", joins=True),
    )
}
# Levels of isal; for higher levels zlib is slower and compresses better.
_ISAL_LEVELS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Compression:
    """A codec and its level."""

    codec: str = "gzip"
    level: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `zstd`, `zstd:19` or `none`."""
        found = re.fullmatch(r"([a-z0-9]+)(?::(\d{1,2}))?", text)
        codec = CODECS.get(found[1]) if found else None
        if found is None or codec is None:
            raise UsageError.of(
                codes.BAD_COMPRESSION,
                f"--compression: {text!r} is not a compression",
                f"use auto, or one of {', '.join(CODECS)}, optionally with a level, as in zstd:19",
            )
        level = int(found[2]) if found[2] else codec.default
        if level not in codec.levels:
            raise UsageError.of(
                codes.BAD_COMPRESSION,
                f"{codec.name} has no level {level}",
                f"its levels are {codec.levels[0]} to {codec.levels[-1]}"
                if len(codec.levels) > 1
                else f"write {codec.name} alone",
            )
        return cls(codec.name, level)

    def __str__(self) -> str:
        """Return the form that `parse` reads."""
        return self.codec if self.codec == "none" else f"{self.codec}:{self.level}"

    @property
    def identity(self) -> str:
        """Return what determines the output bytes: codec, level and library version."""
        codec = CODECS[self.codec]
        if self.codec == "gzip" and self.level not in _ISAL_LEVELS:
            import zlib  # noqa: PLC0415 - seldom used

            return f"{self}/zlib-{zlib.ZLIB_RUNTIME_VERSION}"
        if self.codec == "xz":
            return f"{self}/lzma"
        if not codec.library:
            return str(self)
        # importlib.metadata takes longer to import than these libraries.
        version = import_module(codec.library).__version__
        if self.codec == "gzip":
            from assembler.deflate_streams import VERSION  # noqa: PLC0415 - as below

            return f"{self}/{version}/{VERSION}"
        return f"{self}/{version}"

    @property
    def joins(self) -> bool:
        """Tell whether separately compressed pieces can be joined into one stream."""
        return CODECS[self.codec].joins

    def start(self) -> Compressor:
        """Start a stream."""
        return _STARTERS[self.codec](self.level)

    def start_piece(self) -> Compressor:
        """Start a piece of a joined stream, or a whole stream if the codec cannot join."""
        return _DeflatePiece(self.level) if self.codec == "gzip" else self.start()


class _DeflatePiece:
    """Deflate without a frame; it ends at a byte boundary and can be continued."""

    def __init__(self, level: int) -> None:
        self._stream: Any
        if level in _ISAL_LEVELS:
            from assembler.deflate_streams import DeflateStream  # noqa: PLC0415 - as below

            self._stream = DeflateStream(level, -15)
        else:
            import zlib  # noqa: PLC0415 - seldom used

            self._stream = zlib.compressobj(level, wbits=-15)

    def compress(self, data: Bytes) -> bytes:
        out: bytes = self._stream.compress(data)
        return out

    def flush(self) -> bytes:
        out: bytes = self._stream.flush(_FULL_FLUSH)
        return out


class _Copy:
    """No compression."""

    def compress(self, data: Bytes) -> bytes:
        return bytes(data)

    def flush(self) -> bytes:
        return b""


class _Lz4Legacy:
    """The format of `lz4 -l`: a magic, then blocks of 8 MiB, each behind its compressed size."""

    def __init__(self, level: int) -> None:
        import lz4.block  # noqa: PLC0415 - seldom used

        self._pending = bytearray()
        self._begun = False
        self._options = {"mode": "high_compression", "compression": level} if level > 2 else {}
        self._block: Callable[..., bytes] = lz4.block.compress

    def compress(self, data: Bytes) -> bytes:
        self._pending += data
        out = b""
        while len(self._pending) >= _LZ4_BLOCK:
            out += self._take(_LZ4_BLOCK)
        return out

    def _take(self, size: int) -> bytes:
        with memoryview(self._pending) as view, view[:size] as block:
            packed = self._block(block, store_size=False, **self._options)
        del self._pending[:size]
        head = b"" if self._begun else struct.pack("<I", _LZ4_MAGIC)
        self._begun = True
        return head + struct.pack("<I", len(packed)) + packed

    def flush(self) -> bytes:
        return self._take(len(self._pending)) if self._pending or not self._begun else b""


def _start_gzip(level: int) -> Compressor:
    if level in _ISAL_LEVELS:
        from assembler.deflate_streams import DeflateStream  # noqa: PLC0415 - seldom compresses

        return DeflateStream(level, 31)
    import zlib  # noqa: PLC0415 - seldom used

    return zlib.compressobj(level, wbits=31)


def _start_zstd(level: int) -> Compressor:
    import zstandard  # noqa: PLC0415 - seldom used

    stream: Compressor = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    return stream


def _start_xz(level: int) -> Compressor:
    import lzma  # noqa: PLC0415 - seldom used

    filters = [{"id": lzma.FILTER_LZMA2, "preset": level, "dict_size": _XZ_DICTIONARY}]
    return lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


_STARTERS: dict[str, Callable[[int], Compressor]] = {
    "gzip": _start_gzip,
    "zstd": _start_zstd,
    "lz4": _Lz4Legacy,
    "xz": _start_xz,
    "none": lambda _level: _Copy(),
}
