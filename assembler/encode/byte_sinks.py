"""Sinks of encoded bytes: batched writes to a file, plain or through a compressor."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol

from isal.isal_zlib import crc32

Bytes = bytes | memoryview

_BATCH = 512 << 10
# Linux accepts 1024 pieces in one call.
_MOST_PIECES = 1000


@dataclass(frozen=True, slots=True)
class ContentSummary:
    """Checksum and size of the content of a compressed piece."""

    crc32: int = 0
    size: int = 0

    @classmethod
    def of(cls, data: Bytes) -> ContentSummary:
        """Summarize data in memory."""
        return cls(crc32(data), len(data))


class Compressor(Protocol):
    """A compression stream."""

    def compress(self, data: Bytes, /) -> bytes:
        """Compress data, and return the output so far."""

    def flush(self) -> bytes:
        """End the stream, and return the rest."""


class ByteSink(Protocol):
    """A stream of bytes, written in many small pieces."""

    def put(self, data: Bytes) -> None:
        """Write; the data must not change afterwards."""

    def finish(self) -> None:
        """Write everything that is pending."""


class FileOutput:
    """Write pieces to a file descriptor, many in one call and without joining them."""

    __slots__ = ("_handle", "_pending", "_pieces", "checksum", "written")

    def __init__(self, handle: int) -> None:
        """Write to an open file, at its current position."""
        self._handle = handle
        # The CRC-32 of everything written.
        self.checksum = 0
        self._pieces: list[Bytes] = []
        self._pending = 0
        self.written = 0

    def put(self, data: Bytes) -> None:
        """Write; the data must not change afterwards."""
        self._pieces.append(data)
        self._pending += len(data)
        if self._pending >= _BATCH or len(self._pieces) >= _MOST_PIECES:
            self.finish()

    def finish(self) -> None:
        """Write everything that is pending to the file."""
        if not self._pieces:
            return
        done = os.writev(self._handle, self._pieces)
        if done != self._pending:
            rest = memoryview(b"".join(self._pieces))[done:]
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        self.written += self._pending
        checksum = self.checksum
        for piece in self._pieces:
            checksum = crc32(piece, checksum)
        self.checksum = checksum
        self._pieces, self._pending = [], 0


class CompressedOutput:
    """Compress pieces on their way to a file descriptor.

    The compressor's output depends on the sizes of its input, so the input always has the same
    batch sizes, whatever the pieces are.
    """

    __slots__ = ("_compressor", "_file", "_pending", "_pieces", "_plain_crc32", "taken")

    def __init__(self, handle: int, compressor: Compressor) -> None:
        """Write to an open file, at its current position."""
        self._file = FileOutput(handle)
        self._compressor = compressor
        self._pieces: list[Bytes] = []
        self._pending = 0
        self._plain_crc32 = 0
        self.taken = 0

    @property
    def summary(self) -> ContentSummary:
        """Return the summary of the input compressed so far."""
        return ContentSummary(self._plain_crc32, self.taken)

    @property
    def written(self) -> int:
        """Return the number of bytes written so far."""
        return self._file.written

    @property
    def checksum(self) -> int:
        """Return the CRC-32 of the bytes written so far."""
        return self._file.checksum

    def put(self, data: Bytes) -> None:
        """Write; the data must not change afterwards."""
        self._pieces.append(data)
        self._pending += len(data)
        if self._pending >= _BATCH:
            self._compress_batches()

    def put_all(self, pieces: list[Bytes]) -> None:
        """Write many pieces."""
        batch, pending = self._pieces, self._pending
        for piece in pieces:
            batch.append(piece)
            pending += len(piece)
            if pending >= _BATCH:
                self._pending = pending
                self._compress_batches()
                batch, pending = self._pieces, self._pending
        self._pending = pending

    def _compress_batches(self) -> None:
        """Compress all whole batches."""
        pieces = self._pieces
        data = memoryview(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        whole = self._pending - self._pending % _BATCH
        for start in range(0, whole, _BATCH):
            self._compress(data[start : start + _BATCH])
        self._pending -= whole
        self._pieces = [data[whole:]] if self._pending else []

    def _compress(self, data: Bytes) -> None:
        self.taken += len(data)
        self._plain_crc32 = crc32(data, self._plain_crc32)
        if out := self._compressor.compress(data):
            self._file.put(out)

    def finish(self, multiple: int = 1) -> None:
        """Compress the rest, end the stream, pad with zeros, and write it to the file."""
        self._compress(b"".join(self._pieces))
        self._pieces, self._pending = [], 0
        self._file.put(self._compressor.flush())
        self._file.finish()
        if rest := -self._file.written % multiple:
            self._file.put(bytes(rest))
            self._file.finish()


class BytesOutput:
    """Keep a few bytes in memory."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        """Start empty."""
        self.pieces: list[Bytes] = []

    def put(self, data: Bytes) -> None:
        """Keep the data."""
        self.pieces.append(data)

    def finish(self) -> None:
        """Do nothing."""

    def value(self) -> bytes:
        """Return everything."""
        return b"".join(self.pieces)
