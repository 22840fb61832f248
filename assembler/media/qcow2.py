"""qcow2, version 3: the disk format of QEMU, which stores only clusters that hold content.

Header, reference counts and tables come first, then the data in the order of the disk. Nothing is
compressed, since most content of systems is compressed already; no content is read to lay it out.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.media.sparse_image import Extent, SparseImage
from assembler.media.unit_runs import UnitRun, compacted_extents, unit_count, unit_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

CLUSTER = 1 << 16
_VERSION = 3
_HEADER_SIZE = 104
# Reference counts have 1 << 4 bits.
_COUNT_ORDER = 4
_COUNTS = CLUSTER // 2
_ENTRIES = CLUSTER // 8
# The cluster has one reference, so a write needs no copy.
_OWNED = 1 << 63


@dataclass(frozen=True, slots=True)
class Qcow2:
    """A disk as a qcow2 file whose layout is decided."""

    disk: SparseImage
    _runs: tuple[UnitRun, ...]
    # Runs of the first-level entries that have a second-level table.
    _tables: tuple[UnitRun, ...]
    _count_blocks: int

    @classmethod
    def plan(cls, disk: SparseImage) -> Qcow2:
        """Lay the clusters of a disk out."""
        runs = unit_runs(disk, CLUSTER)
        tables: list[UnitRun] = []
        for run in runs:
            begin, end = run.first // _ENTRIES, -(-run.end // _ENTRIES)
            if tables and begin < tables[-1].end:
                begin = tables[-1].end
            if begin < end:
                index = unit_count(tuple(tables[-1:]))
                tables.append(UnitRun(begin, end - begin, index))
        found = cls(disk, runs, tuple(tables), 0)
        while found._clusters > found._count_blocks * _COUNTS:
            found = cls(disk, runs, tuple(tables), -(-found._clusters // _COUNTS))
        return found

    @property
    def size(self) -> int:
        """Return the number of bytes of the file."""
        return self._clusters * CLUSTER

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        yield Extent(0, self._header())
        yield Extent(CLUSTER, _pack_entries(self._counts_at + n for n in range(self._count_blocks)))
        left = self._clusters
        for number in range(self._count_blocks):
            used = min(left, _COUNTS)
            yield Extent((self._counts_at + number) * CLUSTER, b"\0\1" * used)
            left -= used
        yield from self._first_level()
        yield from self._second_level()
        data = self._data_at * CLUSTER
        for thing in compacted_extents(self.disk, self._runs, CLUSTER):
            yield Extent(data + thing.offset, thing.content)

    # Offsets in clusters: the header is 0, then …

    @property
    def _counts_at(self) -> int:
        return 1 + max(1, -(-self._count_blocks // _ENTRIES))

    @property
    def _first_at(self) -> int:
        return self._counts_at + self._count_blocks

    @property
    def _second_at(self) -> int:
        return self._first_at + max(1, -(-self._first_entries // _ENTRIES))

    @property
    def _data_at(self) -> int:
        return self._second_at + unit_count(self._tables)

    @property
    def _clusters(self) -> int:
        return self._data_at + unit_count(self._runs)

    @property
    def _first_entries(self) -> int:
        return -(-self.disk.size // (CLUSTER * _ENTRIES))

    def _header(self) -> bytes:
        fields = (
            *(magics.QCOW2, _VERSION, 0, 0, CLUSTER.bit_length() - 1, self.disk.size, 0),
            *(self._first_entries, self._first_at * CLUSTER),
            *(CLUSTER, self._counts_at - 1, 0, 0),
            *(0, 0, 0, _COUNT_ORDER, _HEADER_SIZE),
        )
        # No extensions follow.
        return struct.pack(">4sIQIIQIIQQIIQQQQII", *fields) + bytes(8)

    def _first_level(self) -> Iterator[Extent]:
        for run in self._tables:
            entries = _pack_entries(
                (self._second_at + run.index + n for n in range(run.count)), flag=_OWNED
            )
            yield Extent(self._first_at * CLUSTER + run.first * 8, entries)

    def _second_level(self) -> Iterator[Extent]:
        """Yield contiguous entries, each extent within one table."""
        number = 0
        for run in self._runs:
            done = 0
            while done < run.count:
                table, entry = divmod(run.first + done, _ENTRIES)
                while table >= self._tables[number].end:
                    number += 1
                kept = self._tables[number]
                count = min(run.count - done, _ENTRIES - entry)
                at = (self._second_at + kept.index + table - kept.first) * CLUSTER + entry * 8
                first = self._data_at + run.index + done
                yield Extent(at, _pack_entries((first + n for n in range(count)), flag=_OWNED))
                done += count


def _pack_entries(clusters: Iterator[int], flag: int = 0) -> bytes:
    return b"".join((flag | number * CLUSTER).to_bytes(8, "big") for number in clusters)
