"""FAT volumes: their files, and the programs for UEFI among them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from assembler.inspecting.found import File, Found
from assembler.inspecting.loaders import is_wanted, look_into
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import BrokenError, Source, exactly, text

_ENTRY = 32
_MOST_FILES = 10_000
_MOST_CLUSTERS = 1 << 24
_DEEPEST = 16
_LONG, _DIRECTORY, _LABEL = 0x0F, 0x10, 0x08


@dataclass(frozen=True, slots=True)
class _Fat:
    """A volume as its boot sector describes it."""

    source: Source
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
            (pair,) = struct.unpack("<H", exactly(self.source, at + cluster * 3 // 2, 2))
            value = pair >> 4 if cluster & 1 else pair & 0xFFF
        elif self.bits == 16:
            (value,) = struct.unpack("<H", exactly(self.source, at + cluster * 2, 2))
        else:
            (value,) = struct.unpack("<I", exactly(self.source, at + cluster * 4, 4))
            value &= 0x0FFFFFFF
        return value if 2 <= value < self.clusters + 2 else 0

    def extents(self, cluster: int, size: int) -> Iterator[tuple[int, int]]:
        """Yield where a file lies, in runs of bytes; neighbours are joined."""
        left, steps = size, 0
        while left > 0 and cluster:
            first, count = cluster, 1
            while count * self.cluster < left and self.next(cluster) == cluster + 1:
                cluster, count = cluster + 1, count + 1
            steps += count
            if steps > _MOST_CLUSTERS:
                raise BrokenError("a chain of clusters has no end")
            length = min(left, count * self.cluster)
            yield self.data + (first - 2) * self.cluster, length
            left -= length
            cluster = self.next(cluster)
        if left > 0:
            raise BrokenError("a chain of clusters is too short")

    def chain(self, cluster: int) -> bytes:
        """Return the content of a directory."""
        content, seen = bytearray(), 0
        while cluster:
            content += exactly(self.source, self.data + (cluster - 2) * self.cluster, self.cluster)
            cluster = self.next(cluster)
            seen += 1
            if seen * self.cluster > _MOST_FILES * 16 * _ENTRY:
                raise BrokenError("a directory is too large")
        return bytes(content)


@dataclass(frozen=True, slots=True)
class _Extents:
    """A file of a volume as a source."""

    source: Source
    runs: tuple[tuple[int, int], ...]
    size: int

    def read(self, at: int, size: int) -> bytes:
        """Return bytes from `at` on, fewer at the end."""
        found = b""
        size = min(size, self.size - at)
        for start, length in self.runs:
            if at < length and size > 0:
                piece = self.source.read(start + at, min(size, length - at))
                if not piece:
                    break
                found += piece
                size -= len(piece)
                at += len(piece)
            at = max(0, at - length)
        return found


def _described(source: Source) -> _Fat:
    head = exactly(source, 0, 512)
    sector, cluster, reserved, tables, entries, small, _, table = struct.unpack_from(
        "<HBHBHHBH", head, 11
    )
    (large,) = struct.unpack_from("<I", head, 32)
    wide = not table
    if wide:
        (table,) = struct.unpack_from("<I", head, 36)
    sectors = small or large
    if sector not in (512, 1024, 2048, 4096) or not cluster or not table or not sectors:
        raise BrokenError("its boot sector contradicts itself")
    root = reserved + tables * table
    data = root + -(-entries * _ENTRY // sector)
    clusters = max(0, sectors - data) // cluster
    bits = 12 if clusters < 4085 else 16 if clusters < 65525 else 32
    if wide != (bits == 32):
        raise BrokenError("its boot sector contradicts itself")
    (root_cluster,) = struct.unpack_from("<I", head, 44) if wide else (0,)
    label = head[71:82] if wide else head[43:54]
    return _Fat(
        source,
        bits,
        cluster * sector,
        reserved * sector,
        root * sector,
        entries,
        data * sector,
        clusters,
        root_cluster,
        text(label),
    )


def _files(fat: _Fat, content: bytes, path: str, seen: set[int]) -> Iterator[tuple[File, int]]:
    long_name: list[str] = []
    for at in range(0, len(content) - _ENTRY + 1, _ENTRY):
        entry = content[at : at + _ENTRY]
        if not entry[0]:
            return
        if entry[11] == _LONG:
            units = entry[1:11] + entry[14:26] + entry[28:32]
            piece = units.decode("utf-16-le", "replace").split("\0")[0].rstrip("\uffff")
            long_name = [piece, *long_name] if not entry[0] & 0x40 else [piece]
            continue
        name, long_name = "".join(long_name) or _short(entry), []
        if entry[0] in (0xE5, 0x2E) or entry[11] & _LABEL:
            continue
        high, low, size = struct.unpack("<H4xHI", entry[20:32])
        cluster = high << 16 | low
        here = f"{path}{text(name.encode())}"
        if not entry[11] & _DIRECTORY:
            yield File(here, size), cluster
        elif cluster in seen or here.count("/") > _DEEPEST:
            raise BrokenError("its directories lead in a circle")
        elif 2 <= cluster < fat.clusters + 2:
            seen.add(cluster)
            yield from _files(fat, fat.chain(cluster), f"{here}/", seen)


def _short(entry: bytes) -> str:
    base, extension = entry[:8].rstrip(), entry[8:11].rstrip()
    return (base + (b"." + extension if extension else b"")).decode("ascii", "replace")


def _look(source: Source, found: Found, look: Look) -> None:
    fat = _described(source)
    found.kind = f"FAT{fat.bits} volume"
    found.facts["label"] = fat.label
    root = (
        fat.chain(fat.root_cluster)
        if fat.bits == 32
        else exactly(source, fat.root, fat.root_entries * _ENTRY)
    )
    for file, cluster in _files(fat, root, "", set()):
        if len(found.files) >= _MOST_FILES:
            raise BrokenError(f"it has more than {_MOST_FILES} files")
        found.files.append(file)
        if file.size and is_wanted(file.path):
            runs = tuple(fat.extents(cluster, file.size))
            look_into(file.path, _Extents(source, runs, file.size), found, look)


def _fits(head: bytes, _source: Source) -> bool:
    return (
        head[510:512] == b"\x55\xaa"
        and head[0:1] in (b"\xeb", b"\xe9")
        and b"FAT" in (head[54:57], head[82:85])
    )


PROBES = (Probe("FAT volume", _fits, _look),)
