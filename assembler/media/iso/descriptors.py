"""The volume descriptors: what the volume is called, and where its root and tables lie."""

from __future__ import annotations

import time
from dataclasses import dataclass

from assembler.media.iso.rockridge import SECTOR, both

_ALWAYS = b"\1\0\0\1"
TERMINATOR = b"\xffCD001\x01"


@dataclass(frozen=True, slots=True)
class PathTables:
    """The size of a table of paths, and the sectors where it lies in both orders of bytes."""

    size: int
    little: int
    big: int


def primary(*, label: str, sectors: int, root: bytes, table: PathTables, mtime: int) -> bytes:
    """Return the primary volume descriptor."""
    date = time.strftime("%Y%m%d%H%M%S00", time.gmtime(mtime)).encode() + b"\0"
    none = b"0" * 16 + b"\0"
    return b"".join(
        (
            b"\x01CD001\x01\x00",
            _text("LINUX", 32),
            _text(label, 32),
            bytes(8),
            both(sectors),
            bytes(32),
            _ALWAYS,
            _ALWAYS,
            SECTOR.to_bytes(2, "little") + SECTOR.to_bytes(2, "big"),
            both(table.size),
            table.little.to_bytes(4, "little") + bytes(4),
            table.big.to_bytes(4, "big") + bytes(4),
            root,
            # Volume set, publisher, preparer; the program it was made with.
            _text("", 128 * 3) + _text("DOLMEN", 128),
            _text("", 37 * 3),
            date + date + none + none,
            b"\x01",
        )
    )


def _text(text: str, size: int) -> bytes:
    return text.encode("ascii", "replace")[:size].ljust(size)
