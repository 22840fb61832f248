"""A FAT volume: its layout, planned from files, and its bytes."""

from __future__ import annotations

import struct
import sys
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import Content, content_size
from assembler.errors import OutputError
from assembler.media.fat import names
from assembler.media.fat.geometry import (
    ENTRY,
    FAT_SECTOR,
    MAX_FAT_SIZE,
    TABLES,
    Geometry,
    geometry_for_size,
    smallest_geometry,
)
from assembler.media.sparse_image import Extent, extents_of, seed_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MAX_FILE = (1 << 32) - 1
# The limit of a root directory outside the clusters.
_MAX_ENTRIES = 65520
# 1980-01-01.
_DATE = 0x21
_END_OF_CHAIN = {12: 0xFFF, 16: 0xFFFF, 32: 0x0FFFFFFF}
_DIRECTORY, _LABEL = 0x10, 0x08
_BLOCK = 1 << 16
_MEDIA = 0xF8
# Halt, and halt again after an interrupt.
_HALT_CODE = b"\xf4\xeb\xfd"
_FIRST_CLUSTER = 2


@dataclass(frozen=True, slots=True)
class FatFile:
    """A file and its path with slashes; its directories are added."""

    path: str
    content: Content
    # Archive; the file of a boot loader is hidden and read-only as well.
    attributes: int = 0x20

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return content_size(self.content)


@dataclass(frozen=True, slots=True)
class FatExtent:
    """The sectors of a file, counted from the beginning of the volume."""

    first: int
    sectors: int


@dataclass(slots=True)
class _FatNode:
    """A directory or file, and its clusters."""

    name: str
    file: FatFile | None = None
    children: dict[str, _FatNode] = field(default_factory=dict)
    # The children by name: entries of the long name, short name, child.
    listed: list[tuple[bytes, bytes, _FatNode]] = field(default_factory=list)
    entries: int = 0
    first: int = 0
    clusters: int = 0


@dataclass(frozen=True, slots=True)
class FatVolume:
    """A volume with its layout."""

    geometry: Geometry
    label: bytes
    serial: int
    hidden_sectors: int
    _root: _FatNode
    _nodes: tuple[_FatNode, ...]
    # Files by their paths.
    _files: Mapping[str, _FatNode]
    _boot_sector: bytes = b""

    @classmethod
    def plan(
        cls,
        files: Sequence[FatFile],
        *,
        size: int | None = None,
        label: str = "",
        hidden_sectors: int = 0,
        seed: bytes = b"",
        alignment: int = 1,
    ) -> FatVolume:
        """Lay out a volume of `size` bytes, or one as small as possible.

        All files begin at multiples of `alignment` sectors. The serial number is derived from the
        seed, or from the contents, which are then read once.
        """
        files = sorted(files, key=lambda f: f.path)
        root, found = _fat_tree(files)
        nodes = tuple(_walk_fat(root))
        for node in nodes:
            if node.file is None:
                _name_children(node, is_root=node is root, label=bool(label))
        geometry = _choose_geometry(root, nodes, size, alignment)
        following = _FIRST_CLUSTER
        for node in _in_cluster_order(nodes, root, geometry):
            node.clusters = _cluster_count(node, geometry)
            node.first = following if node.clusters else 0
            following += node.clusters
        serial = int.from_bytes((seed or seed_of((f.path, f.content) for f in files))[:4], "little")
        packed = label.upper().encode("ascii", "replace")[:11].ljust(11)
        return cls(geometry, packed, serial, hidden_sectors, root, nodes, found)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.geometry.sectors * FAT_SECTOR

    def extent(self, path: str) -> FatExtent:
        """Return the sectors of a file, which are contiguous."""
        node = self._files[path]
        size = node.file.size if node.file else 0
        return FatExtent(self._sector(node.first), -(-size // FAT_SECTOR))

    def with_contents(self, contents: Mapping[str, bytes]) -> FatVolume:
        """Return the volume with other contents of the same sizes in some files."""
        changed = {id(self._files[path]): content for path, content in contents.items()}

        def copied(node: _FatNode) -> _FatNode:
            if id(node) not in changed or node.file is None:
                return node
            content = changed[id(node)]
            if len(content) != node.file.size:
                raise ValueError(f"{node.file.path} has another size")
            return replace(node, file=replace(node.file, content=content))

        return replace(self, _nodes=tuple(copied(n) for n in self._nodes))

    def with_boot_sector(self, sector: bytes) -> FatVolume:
        """Return the volume with the sector of a boot loader; its own description stays."""
        return replace(self, _boot_sector=sector)

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        g = self.geometry
        boot = self.boot_sector()
        yield Extent(0, boot)
        if g.bits == 32:
            yield Extent(FAT_SECTOR, self._info())
            yield Extent(2 * FAT_SECTOR, bytes(510) + magics.BOOT_SECTOR)
            yield Extent(6 * FAT_SECTOR, boot)
            yield Extent(7 * FAT_SECTOR, self._info())
            yield Extent(8 * FAT_SECTOR, bytes(510) + magics.BOOT_SECTOR)
        ends = sorted(n.first + n.clusters - 1 for n in self._nodes if n.clusters)
        for number in range(TABLES):
            at = (g.reserved + number * g.table) * FAT_SECTOR
            for block in _table_blocks(g.bits, self._used, ends):
                yield Extent(at, block)
                at += len(block)
        root = self._root
        if not root.first:
            yield from extents_of(g.root * FAT_SECTOR, self._directory(root, None))
        parents = {id(c): n for n in self._nodes for c in n.children.values()}
        for node in sorted((n for n in self._nodes if n.clusters), key=lambda n: n.first):
            if node.file is None:
                content: Content = self._directory(node, parents.get(id(node)))
            else:
                content = node.file.content
            yield from extents_of(self._sector(node.first) * FAT_SECTOR, content)

    def boot_sector(self) -> bytes:
        """Return the first sector."""
        g = self.geometry
        wide = g.bits == 32
        small = g.sectors if g.sectors < 1 << 16 and not wide else 0
        sector = struct.pack(
            "<3s8sHBHBHHBHHHII",
            b"\xeb\x58\x90" if wide else b"\xeb\x3c\x90",
            b"MSWIN4.1",
            FAT_SECTOR,
            g.cluster,
            g.reserved,
            TABLES,
            g.root_entries,
            small,
            _MEDIA,
            0 if wide else g.table,
            63,
            255,
            self.hidden_sectors,
            0 if small else g.sectors,
        )
        if wide:
            sector += struct.pack("<IHHIHH12x", g.table, 0, 0, self._root.first, 1, 6)
        kind = b"FAT%-5d" % g.bits
        label = self.label if self.label.strip() else b"NO NAME".ljust(11)
        sector += struct.pack("<BBBI11s8s", 0x80, 0, 0x29, self.serial, label, kind)
        code = self._boot_sector
        if code:
            # The code of a loader begins behind the longest description.
            return code[:11] + (sector + _HALT_CODE).ljust(510, b"\0")[11:90] + code[90:FAT_SECTOR]
        return (sector + _HALT_CODE).ljust(510, b"\0") + magics.BOOT_SECTOR

    @property
    def _used(self) -> int:
        """Return the number of the first free cluster."""
        return _FIRST_CLUSTER + sum(n.clusters for n in self._nodes)

    def _sector(self, cluster: int) -> int:
        return self.geometry.data + (cluster - _FIRST_CLUSTER) * self.geometry.cluster

    def _info(self) -> bytes:
        free = self.geometry.clusters + _FIRST_CLUSTER - self._used
        hint = self._used if free else 0xFFFFFFFF
        counts = struct.pack("<II", free, hint)
        return b"RRaA" + bytes(480) + b"rrAa" + counts + bytes(14) + magics.BOOT_SECTOR

    def _directory(self, node: _FatNode, parent: _FatNode | None) -> bytes:
        entries = []
        if parent is None:
            if self.label.strip():
                entries.append(_directory_entry(self.label, _LABEL, 0, 0))
        else:
            above = 0 if parent is self._root else parent.first
            entries.append(_directory_entry(b".".ljust(11), _DIRECTORY, node.first, 0))
            entries.append(_directory_entry(b"..".ljust(11), _DIRECTORY, above, 0))
        for long_name, short_name, child in node.listed:
            entries.append(long_name)
            if child.file is None:
                entries.append(_directory_entry(short_name, _DIRECTORY, child.first, 0))
            else:
                file = child.file
                entries.append(
                    _directory_entry(short_name, file.attributes, child.first, file.size)
                )
        return b"".join(entries)


def _directory_entry(name: bytes, attributes: int, cluster: int, size: int) -> bytes:
    high, low = cluster >> 16, cluster & 0xFFFF
    return struct.pack(
        "<11sBBBHHHHHHHI", name, attributes, 0, 0, 0, _DATE, _DATE, high, 0, _DATE, low, size
    )


def _fat_tree(files: Sequence[FatFile]) -> tuple[_FatNode, dict[str, _FatNode]]:
    root, found = _FatNode(""), {}
    for file in files:
        names.check_path(file.path)
        if file.size > _MAX_FILE:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"{file.path} is {file.size} bytes long; files on FAT must be smaller than 4 GiB",
                "remove large files, or choose a format with a filesystem (kernel+squashfs)",
            )
        *directories, name = file.path.split("/")
        node = root
        for part in directories:
            node = node.children.setdefault(names.fold_case(part), _FatNode(part))
            if node.file is not None:
                break
        if node.file is not None or names.fold_case(name) in node.children:
            raise OutputError.of(
                codes.BAD_NAME, f"FAT takes {file.path} for a file or directory that exists already"
            )
        found[file.path] = node.children[names.fold_case(name)] = _FatNode(name, file)
    return root, found


def _walk_fat(node: _FatNode) -> Iterator[_FatNode]:
    yield node
    for child in node.children.values():
        yield from _walk_fat(child)


def _in_cluster_order(
    nodes: Sequence[_FatNode], root: _FatNode, geometry: Geometry
) -> Iterator[_FatNode]:
    """Yield the nodes with clusters: directories, then files."""
    yield from (n for n in nodes if n.file is None and (n is not root or geometry.bits == 32))
    yield from (n for n in nodes if n.file is not None)


def _name_children(node: _FatNode, *, is_root: bool, label: bool) -> None:
    taken: set[bytes] = set()
    for child in node.children.values():
        short_name, says_all = names.short_name(child.name, taken)
        long_name = b"" if says_all else names.long_name_entries(child.name, short_name)
        node.listed.append((long_name, short_name, child))
    node.entries = sum(len(long_name) // ENTRY + 1 for long_name, _, _ in node.listed)
    node.entries += int(label) if is_root else 2
    if node.entries > _MAX_ENTRIES:
        raise OutputError.of(
            codes.TOO_LARGE, f"a directory has {len(node.listed)} files: too many for FAT"
        )


def _cluster_count(node: _FatNode, geometry: Geometry) -> int:
    if node.file is not None:
        return -(-node.file.size // geometry.cluster_size)
    return max(1, -(-node.entries * ENTRY // geometry.cluster_size))


def _choose_geometry(
    root: _FatNode, nodes: Sequence[_FatNode], size: int | None, alignment: int
) -> Geometry:
    def needed(geometry: Geometry) -> int:
        return sum(_cluster_count(n, geometry) for n in _in_cluster_order(nodes, root, geometry))

    smallest = smallest_geometry(needed, root.entries, alignment)
    if size is None:
        return smallest
    if size > MAX_FAT_SIZE:
        raise OutputError.of(codes.TOO_LARGE, "a FAT volume is smaller than 2 TiB")
    chosen = geometry_for_size(size // FAT_SECTOR, root.entries, alignment)
    if chosen is None or needed(chosen) > chosen.clusters:
        raise OutputError.of(
            codes.TOO_SMALL,
            f"the files do not fit into a FAT volume of {size} bytes",
            f"they need {smallest.sectors * FAT_SECTOR} bytes",
        )
    return chosen


def _table_blocks(bits: int, used: int, ends: Sequence[int]) -> Iterator[bytes]:
    """Yield a table of the used clusters: each refers to the next, the last of a file ends it."""
    last = _END_OF_CHAIN[bits]
    for begin in range(0, used, _BLOCK):
        stop = min(used, begin + _BLOCK)
        block = array("I" if bits == 32 else "H", range(begin + 1, stop + 1))
        if not begin:
            block[0], block[1] = last & ~0xFF | _MEDIA, last
        for end in ends[bisect_left(ends, begin) : bisect_left(ends, stop)]:
            block[end - begin] = last
        if bits == 12:
            yield _pack_fat12(block)
            continue
        if sys.byteorder == "big":
            block.byteswap()
        yield block.tobytes()


def _pack_fat12(entries: array[int]) -> bytes:
    """Return entries of 12 bits, packed two in three bytes."""
    values = [*entries, 0]
    return b"".join(
        (values[i] | values[i + 1] << 12).to_bytes(3, "little") for i in range(0, len(entries), 2)
    )
