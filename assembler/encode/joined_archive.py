"""An initrd made of separately compressed pieces, by the rules of its codec.

gzip and plain pieces join into one archive: a single gzip member, whose deflate stream is that of
the pieces in sequence, with one trailer at the end. Tools that read an initrd list all of it. Hard
links stay within their piece because each piece has its own device number, except for shared files.

Streams of the other codecs cannot be joined. The kernel unpacks them in sequence, as parts of one
archive with one trailer: hard links may lead from one piece to another. A piece must begin at a
multiple of 4; with a multiple of 4096 filesystems can share blocks between files.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from isal.isal_zlib import crc32_combine

from assembler.encode.byte_sinks import ContentSummary
from assembler.encode.newc_encoder import TRAILER

if TYPE_CHECKING:
    from assembler.encode.compression import Compression

ALIGNMENT = 4096
# No name, no time, "unknown" system, so that it is reproducible.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK = b"\x03\x00"


@dataclass(slots=True)
class JoinedArchive:
    """The frame around the pieces; their writers report the content."""

    out: IO[bytes]
    compression: Compression
    _plain: ContentSummary = field(default_factory=ContentSummary)

    def begin(self) -> None:
        """Write the header before the pieces."""
        if self.compression.joins and self.compression.codec == "gzip":
            self.out.write(_GZIP_HEADER)

    def add_piece(self, piece: ContentSummary) -> None:
        """Add the content of the piece just written to the checksum."""
        self._plain = ContentSummary(
            crc32_combine(self._plain.crc32, piece.crc32, piece.size),
            self._plain.size + piece.size,
        )

    def end(self) -> None:
        """Write the trailer after the pieces."""
        compressor = self.compression.start_piece()
        trailer = compressor.compress(TRAILER) + compressor.flush()
        self.out.write(trailer)
        if not self.compression.joins:
            self.out.write(bytes(-len(trailer) % ALIGNMENT))
            return
        self.add_piece(ContentSummary.of(TRAILER))
        if self.compression.codec == "gzip":
            tail = struct.pack("<II", self._plain.crc32, self._plain.size & 0xFFFFFFFF)
            self.out.write(_LAST_BLOCK + tail)
