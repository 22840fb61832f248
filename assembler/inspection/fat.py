"""FAT volumes: their files, and the programs for UEFI among them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.inspection.loader_files import inspect_boot_file, is_boot_file
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.result import FileEntry, Inspection
from assembler.inspection.source import CorruptDataError, DataSource, printable_text, read_exactly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ENTRY_SIZE = 32
_MAX_FILES = 10_000
_MAX_CLUSTERS = 1 << 24
_MAX_DEPTH = 16
_LONG, _DIRECTORY, _LABEL = 0x0F, 0x10, 0x08


@dataclass(frozen=True, slots=True)
class _FatReader:
    """A volume as its boot sector describes it."""

    source: DataSource
    bits: int
    cluster: int
    reserved: int
    root: int
    root_entries: int
    data: int
    clusters: int
    root_cluster: int
    label: str

    def next(self, cluster: int) -> int:
        """Return the cluster after this one, or 0 at the end."""
        at = self.reserved
        if self.bits == 12:
            (pair,) = struct.unpack("<H", read_exactly(self.source, at + cluster * 3 // 2, 2))
            value = pair >> 4 if cluster & 1 else pair & 0xFFF
        elif self.bits == 16:
            (value,) = struct.unpack("<H", read_exactly(self.source, at + cluster * 2, 2))
        else:
            (value,) = struct.unpack("<I", read_exactly(self.source, at + cluster * 4, 4))
            value &= 0x0FFFFFFF
        return value if 2 <= value < self.clusters + 2 else 0

    def extents(self, cluster: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield the ranges of a file; adjacent clusters are joined."""
        left, steps = size, 0
        while left > 0 and cluster:
            first, count = cluster, 1
            while count * self.cluster < left and self.next(cluster) == cluster + 1:
                cluster, count = cluster + 1, count + 1
            steps += count
            if steps > _MAX_CLUSTERS:
                raise CorruptDataError("a chain of clusters has no end")
            length = min(left, count * self.cluster)
            yield self.data + (first - 2) * self.cluster, length
            left -= length
            cluster = self.next(cluster)
        if left > 0:
            raise CorruptDataError("a chain of clusters is too short")

    def chain(self, cluster: int) -> bytes:
        """Return the content of a directory."""
        content, seen = bytearray(), 0
        while cluster:
            content += read_exactly(
                self.source, self.data + (cluster - 2) * self.cluster, self.cluster
            )
            cluster = self.next(cluster)
            seen += 1
            if seen * self.cluster > _MAX_FILES * 16 * _ENTRY_SIZE:
                raise CorruptDataError("a directory is too large")
        return bytes(content)


@dataclass(frozen=True, slots=True)
class _FatFileSource:
    """A file of a volume as a source."""

    source: DataSource
    runs: tuple[tuple[int, int], ...]
    size: int

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        result = b""
        size = min(size, self.size - at)
        for start, length in self.runs:
            if at < length and size > 0:
                piece = self.source.read(start + at, min(size, length - at))
                if not piece:
                    break
                result += piece
                size -= len(piece)
                at += len(piece)
            at = max(0, at - length)
        return result


def _read_boot_sector(source: DataSource) -> _FatReader:
    head = read_exactly(source, 0, 512)
    sector, cluster, reserved, tables, entries, small, _, table = struct.unpack_from(
        "<HBHBHHBH", head, 11
    )
    (large,) = struct.unpack_from("<I", head, 32)
    wide = not table
    if wide:
        (table,) = struct.unpack_from("<I", head, 36)
    sectors = small or large
    if sector not in (512, 1024, 2048, 4096) or not cluster or not table or not sectors:
        raise CorruptDataError("its boot sector is inconsistent")
    root = reserved + tables * table
    data = root + -(-entries * _ENTRY_SIZE // sector)
    clusters = max(0, sectors - data) // cluster
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    if wide != (bits == 32):
        raise CorruptDataError("its boot sector is inconsistent")
    (root_cluster,) = struct.unpack_from("<I", head, 44) if wide else (0,)
    label = head[71:82] if wide else head[43:54]
    return _FatReader(
        source,
        bits,
        cluster * sector,
        reserved * sector,
        root * sector,
        entries,
        data * sector,
        clusters,
        root_cluster,
        printable_text(label),
    )


def _walk_files(
    fat: _FatReader, content: bytes, path: str, seen: set[int]
) -> Iterator[tuple[FileEntry, int]]:
    long_name: list[str] = []
    for at in range(0, len(content) - _ENTRY_SIZE + 1, _ENTRY_SIZE):
        entry = content[at : at + _ENTRY_SIZE]
        if not entry[0]:
            return
        if entry[11] == _LONG:
            units = entry[1:11] + entry[14:26] + entry[28:32]
            piece = units.decode("utf-16-le", "replace").split("\0")[0].rstrip("\uffff")
            long_name = [piece, *long_name] if not entry[0] & 0x40 else [piece]
            continue
        name, long_name = "".join(long_name) or _short_name(entry), []
        if entry[0] in (0xE5, 0x2E) or entry[11] & _LABEL:
            continue
        high, low, size = struct.unpack("<H4xHI", entry[20:32])
        cluster = high << 16 | low
        here = f"{path}{printable_text(name.encode())}"
        if not entry[11] & _DIRECTORY:
            yield FileEntry(here, size), cluster
        elif cluster in seen or here.count("/") > _MAX_DEPTH:
            raise CorruptDataError("its directories contain each other")
        elif 2 <= cluster < fat.clusters + 2:
            seen.add(cluster)
            yield from _walk_files(fat, fat.chain(cluster), f"{here}/", seen)


def _short_name(entry: bytes) -> str:
    base, extension = entry[:8].rstrip(), entry[8:11].rstrip()
    return (base + (b"." + extension if extension else b"")).decode("ascii", "replace")


def _inspect_fat(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    fat = _read_boot_sector(source)
    result.kind = f"FAT{fat.bits} volume"
    result.facts["label"] = fat.label
    for file, cluster in _fat_files(fat):
        result.files.append(file)
        if file.size and is_boot_file(file.path):
            inspect_boot_file(file.path, _file_source(fat, file, cluster), result, inspector)


def find_fat_files(source: DataSource, wanted: Callable[[str], bool]) -> dict[str, DataSource]:
    """Return the files of a volume whose paths are wanted."""
    fat = _read_boot_sector(source)
    found = [(file, cluster) for file, cluster in _fat_files(fat) if wanted(file.path)]
    return {file.path: _file_source(fat, file, cluster) for file, cluster in found}


def _fat_files(fat: _FatReader) -> Iterator[tuple[FileEntry, int]]:
    root = (
        fat.chain(fat.root_cluster)
        if fat.bits == 32
        else read_exactly(fat.source, fat.root, fat.root_entries * _ENTRY_SIZE)
    )
    for number, entry in enumerate(_walk_files(fat, root, "", set())):
        if number >= _MAX_FILES:
            raise CorruptDataError(f"it has more than {_MAX_FILES} files")
        yield entry


def _file_source(fat: _FatReader, file: FileEntry, cluster: int) -> DataSource:
    runs = tuple(fat.extents(cluster, file.size)) if file.size else ()
    return _FatFileSource(fat.source, runs, file.size)


def _is_fat(head: bytes, _source: DataSource) -> bool:
    return (
        magics.is_boot_sector(head)
        and head[0:1] in (b"\xeb", b"\xe9")
        and b"FAT" in (head[54:57], head[82:85])
    )


PROBES = (Probe("FAT volume", _is_fat, _inspect_fat),)
