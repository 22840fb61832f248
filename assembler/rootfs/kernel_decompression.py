"""Decompressing a kernel, as a stream, for boot loaders and machines that need it plain.

A compressed kernel is a compressed file (Image.gz), a bzImage, or an EFI zboot image. The headers
of the latter two (bzImage: boot protocol 2.08 and newer) give the position of the payload. The
first bytes of the payload identify its compression.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from typing import TYPE_CHECKING, Protocol

from assembler import magics
from assembler.codes import rootfs
from assembler.errors import PlanError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from assembler.diagnostics import Place

# No real kernel is larger; a hostile one must not fill the disk.
LARGEST_KERNEL = 1 << 30
_CHUNK = 1 << 18
_HEADER = 0x260
_LZ4_BLOCK = 8 << 20
# Kernels are packed with windows of up to 128 MiB.
_ZSTD_WINDOW = 1 << 27
_XZ_MEMORY = 192 << 20

_MAGICS = (
    (magics.GZIP, "gzip"),
    (magics.ZSTD, "zstd"),
    (magics.XZ, "xz"),
    (magics.LZ4_LEGACY, "lz4"),
    (magics.BZIP2, "bzip2"),
    (magics.LZMA, "lzma"),
    (magics.LZO, "lzo"),
    (magics.LZ4_FRAME, "lz4 frame"),
)


class ByteSource(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; empty only at the end."""


class Decompressor(Protocol):
    """The interface of lzma and bzip2: the size of output pieces is bounded."""

    @property
    def eof(self) -> bool:
        """Tell whether the compressed stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Tell whether more input is needed for more output."""

    @property
    def unused_data(self) -> bytes:
        """Return the data after the end of the stream."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return at most `max_length` bytes of output."""


def detect_compression(start: bytes) -> str:
    """Return the compression of data with these first bytes, or the empty text."""
    return next((name for magic, name in _MAGICS if start.startswith(magic)), "")


def decompress_kernel(
    source: ByteSource, what: str, *, limit: int = LARGEST_KERNEL, place: Place | None = None
) -> Iterator[bytes]:
    """Yield the plain kernel; `what` names it in errors."""
    errors = _Errors(what, place)
    head = _read_exactly(source, _HEADER)
    payload = _Payload(source, head, *_extent(head, errors))
    start = payload.peek(8)
    kind = detect_compression(start)
    pieces = _pieces(kind, payload, errors)
    total = 0
    try:
        for piece in pieces:
            total += len(piece)
            if total > limit:
                raise errors.of(f"is larger than {limit >> 20} MiB when decompressed")
            if piece:
                yield piece
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
        raise errors.of(f"is not whole: {error}") from error


class _Errors:
    """Errors that name the kernel."""

    def __init__(self, what: str, place: Place | None) -> None:
        self._what, self._place = what, place

    def of(self, message: str, *hints: str) -> PlanError:
        text = f"{self._what} {message}"
        return PlanError.of(rootfs.NOT_COMPRESSED, text, *hints, place=self._place)


class _Payload:
    """The compressed part of the file, as a stream that ends with it."""

    def __init__(self, source: ByteSource, head: bytes, start: int, length: int | None) -> None:
        self._source = source
        self._ahead = head
        self._left: int | None = None
        self._skip(start)
        self._left = length

    def _skip(self, amount: int) -> None:
        while amount:
            gone = len(self.read(min(amount, _CHUNK)))
            if not gone:
                return
            amount -= gone

    @property
    def left(self) -> int | None:
        """Return the number of remaining bytes, or None if unknown."""
        return self._left

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes."""
        if self._left is not None:
            size = min(size, self._left)
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._source.read(size) if size else b""
        if self._left is not None:
            self._left -= len(data)
        return data

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        return _read_exactly(self, size)

    def peek(self, size: int) -> bytes:
        """Return the next bytes without consuming them."""
        data = self.exactly(size)
        self._ahead = data + self._ahead
        if self._left is not None:
            self._left += len(data)
        return data


def _read_exactly(source: ByteSource, size: int) -> bytes:
    pieces = []
    while size:
        data = source.read(size)
        if not data:
            break
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)


def _extent(head: bytes, errors: _Errors) -> tuple[int, int | None]:
    """Return the offset of the payload, and its length if known."""
    if magics.is_bzimage(head):
        (version,) = struct.unpack_from("<H", head, 0x206)
        if version < 0x208:
            old = f"{version >> 8}.{version & 0xFF:02}"
            raise errors.of(f"is a bzImage of boot protocol {old}: 2.08 or newer is required")
        sectors = head[0x1F1] or 4
        offset, length = struct.unpack_from("<II", head, 0x248)
        return (sectors + 1) * 512 + offset, length
    if magics.is_zboot(head):
        offset, length = struct.unpack_from("<II", head, 8)
        return offset, length
    return 0, None


def _pieces(kind: str, payload: _Payload, errors: _Errors) -> Iterator[bytes]:
    if kind in DECOMPRESSORS:
        return _inflated(DECOMPRESSORS[kind], payload, errors)
    if kind == "lz4":
        return _lz4(payload, errors)
    if kind:
        raise errors.of(f"is compressed with {kind}, which is not supported")
    raise errors.of(
        "is not compressed in a known way",
        "leave out --decompress-kernel if the kernel is already plain",
    )


def _inflated(
    make: Callable[[], Decompressor], payload: _Payload, errors: _Errors
) -> Iterator[bytes]:
    """Yield the decompressed stream; ignore data after it, such as its size.

    Only a wholly compressed file may have several streams.
    """
    whole_file = payload.left is None
    inflater = make()
    data = payload.read(_CHUNK)
    while data:
        yield inflater.decompress(data, _CHUNK)
        while not inflater.needs_input and not inflater.eof:
            yield inflater.decompress(b"", _CHUNK)
        data = payload.read(_CHUNK)
        if inflater.eof:
            data = inflater.unused_data + data
            if not whole_file or not detect_compression(data):
                return
            inflater = make()
    if not inflater.eof:
        raise errors.of("is not whole: the compressed data ends too early")


class _Gzip:
    """zlib with the interface of lzma."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Zstd:
    """zstd with the interface of lzma: small inputs bound the size of the output."""

    # Four bytes can encode a block of 128 KiB.
    _BITE = 64

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - a heavy module for rare kernels

        self._error = zstandard.ZstdError
        self._zstd = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
        self._waiting = b""

    @property
    def eof(self) -> bool:
        return bool(self._zstd.eof)

    @property
    def needs_input(self) -> bool:
        return not self._waiting

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zstd.unused_data) + self._waiting

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        self._waiting += data
        found: list[bytes] = []
        size, taken = 0, 0
        try:
            while taken < len(self._waiting) and not self.eof and size < max_length:
                bite = self._waiting[taken : taken + self._BITE]
                taken += len(bite)
                found.append(self._zstd.decompress(bite))
                size += len(found[-1])
        except self._error as error:
            raise ValueError(str(error)) from error
        self._waiting = self._waiting[taken:]
        return b"".join(found)


DECOMPRESSORS: dict[str, Callable[[], Decompressor]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}


def _lz4(payload: _Payload, errors: _Errors) -> Iterator[bytes]:
    """Yield the blocks of the legacy lz4 format, the only one that kernels use."""
    import lz4.block  # noqa: PLC0415 - a heavy module for rare kernels

    magic = payload.exactly(4)
    while True:
        # The kernel's makefile appends the size of the plain kernel to the payload.
        if payload.left is not None and payload.left <= 4:
            return
        size_bytes = payload.exactly(4)
        if not size_bytes:
            return
        if size_bytes == magic:
            continue
        size = int.from_bytes(size_bytes, "little")
        block = payload.exactly(size) if 0 < size <= _LZ4_BLOCK + (_LZ4_BLOCK >> 7) else b""
        if not block or len(block) < size:
            raise errors.of("is not whole: a block of lz4 data is missing")
        try:
            yield lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK)
        except lz4.block.LZ4BlockError as error:
            raise errors.of(f"is not whole: {error}") from error
