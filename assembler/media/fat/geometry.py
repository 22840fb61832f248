"""The geometry of a FAT volume: its type, clusters and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

FAT_SECTOR = 512
ENTRY = 32
TABLES = 2
_MIB = 1 << 20
_GIB = 1 << 30
# Only the number of clusters decides the type of a volume.
_MIN_CLUSTERS = {12: 1, 16: 4085, 32: 65525}
_MAX_CLUSTERS = {12: 4084, 16: 65524, 32: 0x0FFFFFF4}
# With fewer clusters, tables leave too few of them for 16 bits.
_MIN_FAT16_UNITS = 5000
_DEFAULT_ROOT_ENTRIES = 512
_MAX_ROOT_ENTRIES = 65520
# Sector counts have 32 bits; the size in bytes is whole MiB.
_MAX_SECTORS = (1 << 32) - 1
MAX_FAT_SIZE = _MAX_SECTORS * FAT_SECTOR // _MIB * _MIB
_MIN_SECTORS = 128
_STEP = 64


@dataclass(frozen=True, slots=True)
class Geometry:
    """The parts of a volume, in sectors."""

    bits: int
    sectors: int
    # Sectors of a cluster.
    cluster: int
    reserved: int
    # Sectors of one table.
    table: int
    # Entries of a root directory outside the clusters; 0 for FAT32.
    root_entries: int
    clusters: int

    @property
    def root(self) -> int:
        """Return the first sector of a root directory outside the clusters."""
        return self.reserved + TABLES * self.table

    @property
    def data(self) -> int:
        """Return the first sector of the first cluster (number 2)."""
        return self.root + self.root_entries * ENTRY // FAT_SECTOR

    @property
    def cluster_size(self) -> int:
        """Return the bytes of a cluster."""
        return self.cluster * FAT_SECTOR


def geometry_for_size(sectors: int, root_entries: int, alignment: int = 1) -> Geometry | None:
    """Return the geometry of a volume, or None if it is too small.

    All clusters begin at multiples of `alignment` sectors, a power of two.
    """
    size = sectors * FAT_SECTOR
    is_12 = size < 4 * _MIB or sectors // alignment < _MIN_FAT16_UNITS
    bits = 32 if size >= 260 * _MIB else 12 if is_12 else 16
    cluster = alignment
    if bits == 32:
        usual = next((c for most, c in ((8, 8), (16, 16), (32, 32)) if size <= most * _GIB), 64)
        cluster = max(cluster, usual)
    while True:
        found = _divide(bits, sectors, cluster, root_entries, alignment)
        if found is None or found.clusters < _MIN_CLUSTERS[bits]:
            return None
        if found.clusters <= _MAX_CLUSTERS[bits]:
            return found
        cluster *= 2


def _divide(
    bits: int, sectors: int, cluster: int, root_entries: int, alignment: int
) -> Geometry | None:
    least_reserved = 32 if bits == 32 else 1
    entries = (
        0
        if bits == 32
        else min(max(_DEFAULT_ROOT_ENTRIES, -(-root_entries // 16) * 16), _MAX_ROOT_ENTRIES)
    )
    root = entries * ENTRY // FAT_SECTOR
    table = 1
    while True:
        before = least_reserved + TABLES * table + root
        reserved = least_reserved + -before % alignment
        clusters = (sectors - before - -before % alignment) // cluster
        if clusters < 1:
            return None
        needed = -(-((clusters + 2) * bits) // (8 * FAT_SECTOR))
        if needed <= table:
            return Geometry(bits, sectors, cluster, reserved, table, entries, clusters)
        table = needed


def smallest_geometry(
    needed: Callable[[Geometry], int], root_entries: int, alignment: int = 1
) -> Geometry:
    """Return the geometry of the smallest volume, to 32 KiB, with the clusters needed."""
    sectors = _MIN_SECTORS
    while sectors <= _MAX_SECTORS:
        found = geometry_for_size(sectors, root_entries, alignment)
        lacking = _STEP if found is None else (needed(found) - found.clusters) * found.cluster
        if found is not None and lacking <= 0:
            return found
        # The tables take a part of the addition.
        sectors += max(_STEP, -(-lacking // _STEP) * _STEP)
    raise OutputError.of(codes.TOO_LARGE, "the files do not fit into a FAT volume of 2 TiB")
