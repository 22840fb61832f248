"""Kept files of an engine, with a checksum: a disk may return other bits than were written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from isal.isal_zlib import crc32

from assembler.files import STORE_MODE, atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_MARK = b"#crc32 "
_TRAILER = len(_MARK) + 9


def write_kept(path: Path, pieces: Iterable[bytes]) -> None:
    """Write a file and its checksum."""
    checksum = 0
    with atomic_write(path, mode=STORE_MODE, durable=False) as target:
        for piece in pieces:
            checksum = crc32(piece, checksum)
            target.write(piece)
        target.write(b"%b%08x\n" % (_MARK, checksum))


def read_kept(path: Path) -> bytes | None:
    """Return the content of a file; None if it is damaged or not there."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    content, trailer = data[:-_TRAILER], data[-_TRAILER:]
    return content if trailer == b"%b%08x\n" % (_MARK, crc32(content)) else None
