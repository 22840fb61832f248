"""Decompressing a kernel for boot loaders and machines that want it plain, as a stream.

A compressed kernel comes in three shapes: a compressed file (Image.gz), a bzImage, whose header
says where in it the payload is (boot protocol 2.08 and newer), and an EFI zboot image, which says
so too. The payload says by its first bytes how it is compressed.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from assembler.codes import rootfs
from assembler.errors import PlanError

if TYPE_CHECKING:
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
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x02\x21\x4c\x18", "lz4"),
    (b"BZh", "bzip2"),
    (b"\x5d\x00\x00", "lzma"),
    (b"\x89LZO", "lzo"),
    (b"\x04\x22\x4d\x18", "lz4 frame"),
)


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, and none only at the end."""


class Inflater(Protocol):
    """What lzma and bzip2 have in common: no piece they give is larger than asked for."""

    @property
    def eof(self) -> bool:
        """Tell whether the compressed stream is over."""

    @property
    def needs_input(self) -> bool:
        """Tell whether more has to come in before more comes out."""

    @property
    def unused_data(self) -> bytes:
        """Return what came after the stream's end."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Return at most `max_length` bytes of what all data so far gives."""


def kind_of(start: bytes) -> str:
    """Return how something is compressed that begins so, or nothing."""
    return next((name for magic, name in _MAGICS if start.startswith(magic)), "")


def decompressed(
    source: Readable, what: str, *, limit: int = LARGEST_KERNEL, place: Place | None = None
) -> Iterator[bytes]:
    """Yield the plain kernel; `what` names it in errors."""
    errors = _Errors(what, place)
    head = _read_exactly(source, _HEADER)
    payload = _Payload(source, head, *_extent(head, errors))
    start = payload.peek(8)
    kind = kind_of(start)
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
    """The stretch of the file that is compressed, read one way; beyond its end there is nothing."""

    def __init__(self, source: Readable, head: bytes, start: int, length: int | None) -> None:
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
        """Return how many bytes there are to come, if the file says so."""
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
        """Return the next bytes and leave them there."""
        data = self.exactly(size)
        self._ahead = data + self._ahead
        if self._left is not None:
            self._left += len(data)
        return data


def _read_exactly(source: Readable, size: int) -> bytes:
    pieces = []
    while size:
        data = source.read(size)
        if not data:
            break
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)


def _extent(head: bytes, errors: _Errors) -> tuple[int, int | None]:
    """Return where the payload begins, and how long it is if that is known."""
    if head[0x202:0x206] == b"HdrS":
        (version,) = struct.unpack_from("<H", head, 0x206)
        if version < 0x208:
            old = f"{version >> 8}.{version & 0xFF:02}"
            raise errors.of(f"is a bzImage of boot protocol {old}: only 2.08 and newer will do")
        sectors = head[0x1F1] or 4
        offset, length = struct.unpack_from("<II", head, 0x248)
        return (sectors + 1) * 512 + offset, length
    if head[:2] == b"MZ" and head[4:8] == b"zimg":
        offset, length = struct.unpack_from("<II", head, 8)
        return offset, length
    return 0, None


def _pieces(kind: str, payload: _Payload, errors: _Errors) -> Iterator[bytes]:
    if kind in INFLATERS:
        return _inflated(INFLATERS[kind], payload, errors)
    if kind == "lz4":
        return _lz4(payload, errors)
    if kind:
        raise errors.of(f"is compressed with {kind}, which is not supported")
    raise errors.of(
        "is not compressed in a known way",
        "leave out --decompress-kernel if the kernel is plain already",
    )


def _inflated(make: Callable[[], Inflater], payload: _Payload, errors: _Errors) -> Iterator[bytes]:
    """Yield what a compressed stream gives; what follows it, such as its size, is passed over.

    Only a file that is compressed as a whole may have several streams.
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
            if not whole_file or not kind_of(data):
                return
            inflater = make()
    if not inflater.eof:
        raise errors.of("is not whole: the compressed data ends too early")


class _Gzip:
    """zlib with the manners of lzma."""

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
    """zstd with the manners of lzma: what goes in at once can only give so much."""

    # Four bytes can stand for a block of 128 KiB.
    _BITE = 64

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - only for those who need it

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


INFLATERS: dict[str, Callable[[], Inflater]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY),
    "lzma": lambda: lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_XZ_MEMORY),
    "bzip2": bz2.BZ2Decompressor,
}


def _lz4(payload: _Payload, errors: _Errors) -> Iterator[bytes]:
    """Yield the blocks of lz4's old format, which is the only one kernels are packed with."""
    import lz4.block  # noqa: PLC0415 - only for those who need it

    magic = payload.exactly(4)
    while True:
        # The kernel's makefile puts the size of the plain kernel behind the payload.
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
