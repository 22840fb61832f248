"""Decompress packages and indexes as streams, in bounded memory."""

from __future__ import annotations

import lzma
import zlib
from queue import Full, Queue
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_CHUNK = 1 << 18
# The limit for xz and zstd; Debian's packages need 65 MiB at most.
_MAX_DICTIONARY = 256 << 20
# The number of decompressed chunks that wait for the reader.
_PREFETCH_DEPTH = 24
# The exceptions that broken data raises.
DECOMPRESSION_ERRORS = (lzma.LZMAError, zlib.error, ValueError, EOFError)


def decompress(chunks: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """Yield the decompressed data; the suffix of the file name selects the compression."""
    return _DECOMPRESSORS[suffix](chunks)


def fail_above_size(chunks: Iterator[bytes], max_size: int) -> Iterator[bytes]:
    """Yield the chunks, and raise ValueError after more than `max_size` bytes."""
    budget = max_size
    for chunk in chunks:
        budget -= len(chunk)
        if budget < 0:
            raise ValueError(f"it decompresses to more than {max_size} bytes")
        yield chunk


def prefetch(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, and produce the next ones in a thread meanwhile.

    Half of the time for a layer is the decompression of xz, which another core can do.
    """
    queue: Queue[bytes | BaseException | None] = Queue(_PREFETCH_DEPTH)
    stopped = Event()

    def put(item: bytes | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                queue.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def fill_queue() -> None:
        try:
            for chunk in chunks:
                if not put(chunk):
                    return
        except BaseException as error:  # the reader raises it
            put(error)
        else:
            put(None)

    thread = Thread(target=fill_queue, daemon=True)
    thread.start()
    try:
        while (item := queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
        thread.join()


def _decompress_xz(chunks: Iterator[bytes]) -> Iterator[bytes]:
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY)
    for chunk in chunks:
        data = chunk
        while data or not decompressor.needs_input:
            if decompressor.eof:
                # A file may have several streams, with zeros between them.
                data = (decompressor.unused_data or data).lstrip(b"\0")
                if not data:
                    break
                decompressor = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY)
            yield decompressor.decompress(data, _CHUNK)
            data = decompressor.unused_data if decompressor.eof else b""
            if decompressor.eof and not data.lstrip(b"\0"):
                break
    if not decompressor.eof:
        raise EOFError("it is truncated")


def _decompress_gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib  # noqa: PLC0415 - few packages are compressed with it

    decompressor = isal_zlib.decompressobj(31)
    for chunk in chunks:
        data = chunk
        while data:
            yield decompressor.decompress(data, _CHUNK)
            data = decompressor.unconsumed_tail
            if decompressor.eof:
                data = decompressor.unused_data.lstrip(b"\0")
                if data:
                    decompressor = isal_zlib.decompressobj(31)
    if not decompressor.eof:
        raise EOFError("it is truncated")


def _decompress_zstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    import zstandard  # noqa: PLC0415 - few packages are compressed with it

    reader = zstandard.ZstdDecompressor(max_window_size=_MAX_DICTIONARY)
    try:
        with reader.stream_reader(
            cast("IO[bytes]", _ChunkReader(chunks)), read_across_frames=True
        ) as stream:
            while data := stream.read(_CHUNK):
                yield data
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error


_DECOMPRESSORS: Mapping[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "": lambda chunks: chunks,
    ".gz": _decompress_gzip,
    ".xz": _decompress_xz,
    ".zst": _decompress_zstd,
}
COMPRESSIONS = frozenset(_DECOMPRESSORS)


class _ChunkReader:
    """Chunks with the method `read` of a file, for zstandard."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        if not self._rest:
            self._rest = next(self._chunks, b"")
        if size < 0:
            size = len(self._rest)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
