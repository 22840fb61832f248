"""Volume descriptors: the label, the root directory and the path tables."""

from __future__ import annotations

import time
from dataclasses import dataclass

from assembler import magics
from assembler.media.iso.rock_ridge import ISO_SECTOR, both_endian

_ONE = b"\1\0\0\1"
TERMINATOR = b"\xff" + magics.ISO_9660 + b"\x01"


@dataclass(frozen=True, slots=True)
class PathTables:
    """The size of the path table, and its sectors in both byte orders."""

    size: int
    little: int
    big: int


def primary_descriptor(
    *, label: str, sectors: int, root: bytes, table: PathTables, mtime: int
) -> bytes:
    """Return the primary volume descriptor."""
    date = time.strftime("%Y%m%d%H%M%S00", time.gmtime(mtime)).encode() + b"\0"
    none = b"0" * 16 + b"\0"
    return b"".join(
        (
            b"\x01" + magics.ISO_9660 + b"\x01\x00",
            _padded_text("LINUX", 32),
            _padded_text(label, 32),
            bytes(8),
            both_endian(sectors),
            bytes(32),
            _ONE,
            _ONE,
            ISO_SECTOR.to_bytes(2, "little") + ISO_SECTOR.to_bytes(2, "big"),
            both_endian(table.size),
            table.little.to_bytes(4, "little") + bytes(4),
            table.big.to_bytes(4, "big") + bytes(4),
            root,
            # Volume set, publisher, preparer; the program it was made with.
            _padded_text("", 128 * 3) + _padded_text("DOLMEN", 128),
            _padded_text("", 37 * 3),
            date + date + none + none,
            b"\x01",
        )
    )


def _padded_text(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size].ljust(size)
