"""An initrd made of pieces that were compressed apart, by the rules of its codec.

gzip and plain pieces join into one archive: a single gzip member, whose deflate stream is that of
the pieces one after the other, with one trailer at the end. Every tool that reads an initrd lists
all of it. Hard links stay within their piece because each piece has a device number of its own.

The other codecs' streams cannot be joined. There each piece is an archive with its own trailer, and
the kernel unpacks them one after the other; it wants the next to begin at a multiple of four, and
filesystems can share blocks between files if it is a multiple of 4096.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import IO

from isal.isal_zlib import crc32_combine

from assembler.encode.compression import Compression
from assembler.encode.newc import TRAILER
from assembler.encode.output import Plain

ALIGNMENT = 4096
# No name, no time, "unknown" system: nothing of when and where it was made.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"


@dataclass(slots=True)
class JoinedArchive:
    """The frame around the pieces; whoever writes them says what they hold."""

    out: IO[bytes]
    compression: Compression
    _plain: Plain = field(default_factory=Plain)

    def begin(self) -> None:
        """Write what stands before the pieces."""
        if self.compression.joins and self.compression.codec == "gzip":
            self.out.write(_GZIP_HEADER)

    def account(self, piece: Plain) -> None:
        """Take note of what a piece holds that was just written."""
        self._plain = Plain(
            crc32_combine(self._plain.crc32, piece.crc32, piece.size),
            self._plain.size + piece.size,
        )

    def end(self) -> None:
        """Write what stands behind the pieces."""
        if not self.compression.joins:
            return
        compressor = self.compression.start_piece()
        self.out.write(compressor.compress(TRAILER) + compressor.flush())
        self.account(Plain.of(TRAILER))
        if self.compression.codec == "gzip":
            tail = struct.pack("<II", self._plain.crc32, self._plain.size & 0xFFFFFFFF)
            self.out.write(_LAST_BLOCK + tail)
