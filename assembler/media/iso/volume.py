"""An ISO volume planned from entries, and its bytes."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media.iso import boot as booting
from assembler.media.iso import descriptors, rockridge
from assembler.media.iso.boot import SECTOR, Boot, Lying
from assembler.media.iso.entries import IsoEntry, Within
from assembler.media.iso.names import identifiers
from assembler.media.iso.records import extents_of, record, size_of_record
from assembler.media.iso.rockridge import Continuations
from assembler.media.medium import Placed, placed
from assembler.stretches import whole

_FIRST = 16
# Parents have 16 bits in the table of paths.
_MOST_DIRECTORIES = 65535
_MOST_SECTORS = (1 << 32) - 1
# How many extents Linux follows.
_MOST_EXTENTS = 100
_LONGEST_NAME = 255
# Drives read ahead of what they are asked for: there is always something behind.
_BEHIND = 150
_ALIGNMENT = (1 << 20) // SECTOR


class _Node:
    """An entry with its place."""

    __slots__ = ("children", "entry", "identifier", "links", "number", "sector", "size")

    def __init__(self, entry: IsoEntry) -> None:
        self.entry = entry
        self.identifier = b""
        self.sector = 0
        self.size = 0
        self.links = entry.links
        # Of a directory: its place in the table of paths.
        self.number = 0
        self.children: dict[bytes, _Node] | None = {} if entry.is_directory else None


@dataclass(frozen=True, slots=True)
class IsoVolume:
    """A volume whose layout is decided."""

    label: str
    mark: bytes
    boot: Boot
    mtime: int
    # With their parents, by levels, as the table of paths has them.
    _directories: tuple[tuple[_Node, _Node], ...]
    # In the order in which they lie.
    _files: tuple[_Node, ...]
    _bios: Lying | None
    _efi: Lying | None
    _sectors: int

    @classmethod
    def plan(
        cls,
        entries: Iterable[IsoEntry],
        *,
        label: str,
        mark: bytes,
        boot: Boot | None = None,
        mtime: int = 0,
    ) -> IsoVolume:
        """Decide where everything lies."""
        boot = boot or Boot()
        root = _tree(entries, mtime)
        directories = _by_levels(root)
        sector = _FIRST + len(_descriptor_kinds(boot)) + bool(boot.bios or boot.efi)
        sector += 2 * -(-_path_table_size(directories) // SECTOR)
        for directory, parent in directories:
            directory.sector = sector
            directory.size, behind = _measure(directory, parent)
            sector += (directory.size + behind) // SECTOR
        files = [n for n in _walk(root) if n.children is None]
        # Firmware takes a large image for UEFI to go on until the end of the volume.
        files.sort(key=lambda n: n.entry.path == boot.efi)
        known: dict[object, int] = {}
        pointed_at = _pointed_at(files, boot)
        by_path = {n.entry.path: n for n in files if n.entry.path in pointed_at}
        lying = []
        for node in files:
            node.size = node.entry.size
            content = node.entry.content
            if isinstance(content, Within) or not node.size:
                continue
            if node.entry.links > 1 and content in known:
                node.sector = known[content]
                continue
            if node.entry.links > 1:
                known[content] = sector
            node.sector = sector
            sector += -(-node.size // SECTOR)
            lying.append(node)
        for node in files:
            if isinstance(node.entry.content, Within):
                around = by_path[node.entry.content.path]
                node.sector = around.sector + node.entry.content.offset // SECTOR
        bios, efi = (
            Lying(by_path[path].sector, by_path[path].size) if path else None
            for path in (boot.bios, boot.efi)
        )
        total = -(-(sector + _BEHIND) // _ALIGNMENT) * _ALIGNMENT
        _check(files, directories, total)
        return cls(label, mark, boot, mtime, directories, tuple(lying), bios, efi, total)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self._sectors * SECTOR

    def sector_of(self, path: bytes) -> int:
        """Return where a file with a content of its own lies."""
        return next(n.sector for n in self._files if n.entry.path == path)

    def placed(self) -> Iterator[Placed]:
        """Yield what is not zero."""
        if self._efi or self.boot.mbr:
            first = booting.master_record(
                self.boot, self.mark, self._bios, self._efi, self._sectors
            )
            yield Placed(0, first)
        yield from self._front()
        for directory, parent in self._directories:
            behind = directory.sector + directory.size // SECTOR
            areas = Continuations(behind)
            yield Placed(directory.sector * SECTOR, _content(directory, parent, areas))
            if areas.data:
                yield Placed(behind * SECTOR, bytes(areas.data))
        for node in self._files:
            content = node.entry.content
            if isinstance(content, Within):
                continue
            if node.entry.path == self.boot.bios:
                content = booting.with_info(whole(content), node.sector, _FIRST)
            yield from placed(node.sector * SECTOR, content)

    def _front(self) -> Iterator[Placed]:
        """Yield the descriptors, and the tables of paths."""
        at = _FIRST
        kinds = _descriptor_kinds(self.boot)
        catalog = _FIRST + len(kinds)
        tables = catalog + bool(self._bios or self._efi)
        little = self._path_table("little")
        length = -(-len(little) // SECTOR)
        root = self._directories[0][0]
        for kind in kinds:
            if kind == "primary":
                data = descriptors.primary(
                    label=self.label,
                    sectors=self._sectors,
                    root=record(b"\0", root.sector, root.size, self.mtime, directory=True),
                    table=descriptors.PathTables(len(little), tables, tables + length),
                    mtime=self.mtime,
                )
            elif kind == "boot":
                data = booting.record(catalog)
            else:
                data = descriptors.TERMINATOR
            yield Placed(at * SECTOR, data)
            at += 1
        if self._bios or self._efi:
            yield Placed(catalog * SECTOR, booting.catalog(self._bios, self._efi))
        yield Placed(tables * SECTOR, little)
        yield Placed((tables + length) * SECTOR, self._path_table("big"))

    def _path_table(self, order: str) -> bytes:
        found = bytearray()
        for directory, parent in self._directories:
            name = directory.identifier or b"\0"
            found += bytes([len(name), 0])
            found += directory.sector.to_bytes(4, "little" if order == "little" else "big")
            found += parent.number.to_bytes(2, "little" if order == "little" else "big")
            found += name + bytes(len(name) % 2)
        return bytes(found)


def _descriptor_kinds(boot: Boot) -> Sequence[str]:
    return ("primary", "boot", "end") if boot.bios or boot.efi else ("primary", "end")


def _pointed_at(files: Iterable[_Node], boot: Boot) -> set[bytes]:
    found = {boot.bios, boot.efi}
    return found | {n.entry.content.path for n in files if isinstance(n.entry.content, Within)}


def _tree(entries: Iterable[IsoEntry], mtime: int) -> _Node:
    plain = stat.S_IFDIR | 0o755
    root = _Node(IsoEntry(b"", plain, mtime=mtime))
    for entry in entries:
        node = root
        path = b""
        words = entry.path.split(b"/") if entry.path else []
        for number, word in enumerate(words):
            if len(word) > _LONGEST_NAME:
                raise OutputError.of(
                    codes.BAD_NAME, f"the name {word.decode(errors='replace')!r} is too long"
                )
            path = path + b"/" + word if path else word
            children = node.children if node.children is not None else {}
            if word not in children:
                is_last = number == len(words) - 1
                children[word] = _Node(entry if is_last else IsoEntry(path, plain, mtime=mtime))
            node = children[word]
        if entry.is_directory == (node.children is not None):
            node.entry = entry
    return root


def _by_levels(root: _Node) -> tuple[tuple[_Node, _Node], ...]:
    """Return all directories with their parents, numbered; and give everything its identifier."""
    found = [(root, root)]
    for number, (directory, _) in enumerate(found, 1):
        directory.number = number
        children = directory.children or {}
        names = identifiers((n, c.children is not None) for n, c in children.items())
        for name, child in children.items():
            child.identifier = names[name]
        below = [c for c in children.values() if c.children is not None]
        directory.links = 2 + len(below)
        found += [(c, directory) for c in sorted(below, key=lambda c: c.identifier)]
    return tuple(found)


def _walk(node: _Node) -> Iterator[_Node]:
    yield node
    for name in sorted(node.children or ()):
        if node.children is not None:
            yield from _walk(node.children[name])


def _path_table_size(directories: Sequence[tuple[_Node, _Node]]) -> int:
    names = (directory.identifier or b"\0" for directory, _ in directories)
    return sum(8 + len(name) + len(name) % 2 for name in names)


def _records(directory: _Node, parent: _Node, areas: Continuations) -> Iterator[bytes]:
    """Yield the records of a directory, in order."""
    for name, node in ((b"\0", directory), (b"\1", parent)):
        px = rockridge.attributes(node.entry, node.links)
        if name == b"\0" and directory is parent:
            # Room for the reference is never left in a record.
            px = rockridge.INDICATOR + px + areas.area([rockridge.REFERENCE])
        mtime = node.entry.mtime
        yield record(name, node.sector, node.size, mtime, px, directory=True)
    children = (directory.children or {}).items()
    for own_name, node in sorted(children, key=lambda item: item[1].identifier):
        entries = [rockridge.attributes(node.entry, node.links)]
        entries += rockridge.name_entries(own_name)
        if stat.S_ISLNK(node.entry.mode):
            entries += rockridge.link_entries(node.entry.target)
        fitted = areas.fitted(entries, size_of_record(node.identifier).room)
        if node.children is not None:
            mtime = node.entry.mtime
            yield record(node.identifier, node.sector, node.size, mtime, fitted, directory=True)
            continue
        for sector, size, more in extents_of(node.sector, node.size):
            yield record(node.identifier, sector, size, node.entry.mtime, fitted, more=more)


def _content(directory: _Node, parent: _Node, areas: Continuations) -> bytes:
    found = bytearray()
    for one in _records(directory, parent, areas):
        if len(found) % SECTOR + len(one) > SECTOR:
            found += bytes(-len(found) % SECTOR)
        found += one
    return bytes(found + bytes(-len(found) % SECTOR))


def _measure(directory: _Node, parent: _Node) -> tuple[int, int]:
    """Return the size of a directory and that of its continuations."""
    for node in (directory.children or {}).values():
        if node.children is None:
            node.size = node.entry.size
    areas = Continuations(0)
    size = len(_content(directory, parent, areas))
    return size, -(-len(areas.data) // SECTOR) * SECTOR


def _check(
    files: Iterable[_Node], directories: Sequence[tuple[_Node, _Node]], sectors: int
) -> None:
    if len(directories) > _MOST_DIRECTORIES:
        raise OutputError.of(
            codes.TOO_LARGE,
            f"the system has {len(directories)} directories: ISO volumes have {_MOST_DIRECTORIES}",
            "choose a format with another filesystem, as kernel+squashfs",
        )
    for node in files:
        if sum(1 for _ in extents_of(node.sector, node.size)) > _MOST_EXTENTS:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"{node.entry.path.decode(errors='replace')} is too large for an ISO volume",
                "choose a format with another filesystem, as kernel+squashfs",
            )
    if sectors > _MOST_SECTORS:
        raise OutputError.of(codes.TOO_LARGE, "the system does not fit on an ISO volume of 8 TiB")
