"""Undoing the compressions of packages and indexes, chunk by chunk in bounded memory."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator, Mapping
from queue import Full, Queue
from threading import Event, Thread
from typing import IO, cast

_CHUNK = 1 << 18
# What xz and zstd may ask for; Debian's packages need 65 MiB at most.
_MAX_DICTIONARY = 256 << 20
# So many chunks are made before they are needed.
_PREFETCHED_CHUNKS = 24
# What is raised by broken data.
DECOMPRESSION_ERRORS = (lzma.LZMAError, zlib.error, ValueError, EOFError)


def decompress(chunks: Iterator[bytes], suffix: str) -> Iterator[bytes]:
    """Yield what is inside; the suffix of the file's name tells how it is compressed."""
    return _DECOMPRESSORS[suffix](chunks)


def limit_size(chunks: Iterator[bytes], most: int) -> Iterator[bytes]:
    """Yield the chunks, and refuse more bytes than `most`."""
    left = most
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise ValueError(f"it holds more than the {most} bytes that it may")
        yield chunk


def prefetch(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks, which are made in a thread while the last ones are used.

    Half of the time that a layer takes is for undoing xz, which another core can do.
    """
    made: Queue[bytes | BaseException | None] = Queue(_PREFETCHED_CHUNKS)
    over = Event()

    def offer(item: bytes | BaseException | None) -> bool:
        while not over.is_set():
            try:
                made.put(item, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for chunk in chunks:
                if not offer(chunk):
                    return
        except BaseException as error:  # it belongs to whoever uses the chunks
            offer(error)
        else:
            offer(None)

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while (item := made.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        over.set()
        thread.join()


def _decompress_xz(chunks: Iterator[bytes]) -> Iterator[bytes]:
    inflater = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY)
    for chunk in chunks:
        data = chunk
        while data or not inflater.needs_input:
            if inflater.eof:
                # Streams may follow one another, with zeros between them.
                data = (inflater.unused_data or data).lstrip(b"\0")
                if not data:
                    break
                inflater = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY)
            yield inflater.decompress(data, _CHUNK)
            data = inflater.unused_data if inflater.eof else b""
            if inflater.eof and not data.lstrip(b"\0"):
                break
    if not inflater.eof:
        raise EOFError("it is cut off")


def _decompress_gzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    from isal import isal_zlib  # noqa: PLC0415 - few packages are compressed with it

    inflater = isal_zlib.decompressobj(31)
    for chunk in chunks:
        data = chunk
        while data:
            yield inflater.decompress(data, _CHUNK)
            data = inflater.unconsumed_tail
            if inflater.eof:
                data = inflater.unused_data.lstrip(b"\0")
                if data:
                    inflater = isal_zlib.decompressobj(31)
    if not inflater.eof:
        raise EOFError("it is cut off")


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
    """Chunks as a file, as zstandard wants it."""

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
