"""What a machine has written to a disk, in order: the log of QEMU's driver blklogwrites."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAGIC = 0x6A736677736872
_FLUSH, _FUA, _DISCARD = 1, 2, 4
_SECTOR = 512


@dataclass(frozen=True)
class Write:
    """A write or a flush."""

    offset: int
    data: bytes
    flushes: bool
    # It is on the medium when it is done.
    forced: bool


def read_log(path: Path) -> list[Write]:
    """Return the writes of a log in their order."""
    found = []
    with path.open("rb") as file:
        magic, _, count, sector = struct.unpack("<QQQI", file.read(28))
        assert magic == _MAGIC
        at = sector
        for _ in range(count):
            file.seek(at)
            start, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
            at += sector
            data = b""
            if sectors and not flags & _DISCARD:
                file.seek(at)
                data = file.read(sectors * sector)
                at += sectors * sector
            found.append(Write(start * sector, data, bool(flags & _FLUSH), bool(flags & _FUA)))
    return found


def _apply(path: Path, writes: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Write, and return what was there before, to be applied in turn."""
    before = []
    with path.open("r+b") as file:
        for offset, data in writes:
            file.seek(offset)
            before.append((offset, file.read(len(data))))
            file.seek(offset)
            file.write(data)
    return before[::-1]


def power_cuts(disk: Path, log: list[Write], seed: int = 1) -> Iterator[int]:
    """Give the disk each state that a power cut could leave, and yield the number of writes.

    What was flushed is there. Of the rest there is nothing, or everything, or some sectors. The
    disk has the state until the next one is asked for.
    """
    chosen = random.Random(seed)
    pending: list[tuple[int, bytes]] = []
    for number, one in enumerate(log, 1):
        if one.flushes:
            _apply(disk, pending)
            pending = []
        for at in range(0, len(one.data), _SECTOR):
            pending.append((one.offset + at, one.data[at : at + _SECTOR]))
        if one.forced:
            _apply(disk, pending)
            pending = []
        for chance in (1.0, 0.5) if pending else (0.0,):
            before = _apply(disk, [piece for piece in pending if chosen.random() < chance])
            yield number
            _apply(disk, before)
    _apply(disk, pending)
