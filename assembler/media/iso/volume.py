"""An ISO volume planned from entries, and its bytes."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from assembler.codes import output as codes
from assembler.content import whole
from assembler.errors import OutputError
from assembler.media.iso import boot as booting
from assembler.media.iso import descriptors, rockridge
from assembler.media.iso.boot import SECTOR, Boot, Lying
from assembler.media.iso.entries import IsoEntry, Within
from assembler.media.iso.names import identifiers
from assembler.media.iso.records import EXTENT, extents_of, record, size_of_record
from assembler.media.iso.rockridge import Continuations
from assembler.media.sparse_image import Placed, placed

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
    """What an entry says but for its path, which would take most of the memory, and its place."""

    __slots__ = (
        *("children", "content", "device", "gid", "identifier", "links", "mode", "mtime"),
        *("number", "sector", "size", "target", "uid"),
    )

    def __init__(self, entry: IsoEntry) -> None:
        self.children: dict[bytes, _Node] | None = {} if entry.is_directory else None
        self.identifier = b""
        self.sector = 0
        # Of a directory: its place in the table of paths.
        self.number = 0
        self.become(entry)

    def become(self, entry: IsoEntry) -> None:
        """Be another entry of the same kind."""
        self.mode, self.uid, self.gid, self.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
        self.content, self.target, self.device = entry.content, entry.target, entry.device
        self.links = entry.links
        self.size = entry.size

    def attributes(self) -> bytes:
        """Return what Rock Ridge says of it."""
        return rockridge.attributes(self.mode, self.links, (self.uid, self.gid), self.device)


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
    # Those that are booted, or that others lie within, by their paths.
    _named: Mapping[bytes, _Node]
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
        root, named = _tree(entries, boot, mtime)
        directories = _by_levels(root)
        if len(directories) > _MOST_DIRECTORIES:
            raise _too_much(f"{len(directories)} directories", f"{_MOST_DIRECTORIES}")
        sector = _FIRST + len(_descriptor_kinds(boot)) + bool(boot.bios or boot.efi)
        sector += 2 * -(-_path_table_size(directories) // SECTOR)
        for directory, parent in directories:
            directory.sector = sector
            directory.size, behind = _measure(directory, parent)
            sector += (directory.size + behind) // SECTOR
        files = [n for n in _walk(root) if n.children is None]
        # Firmware takes a large image for UEFI to go on until the end of the volume.
        files.sort(key=lambda n: n is named.get(boot.efi))
        known: dict[object, int] = {}
        lying = []
        for node in files:
            if isinstance(node.content, Within) or not node.size:
                continue
            if node.links > 1 and node.content in known:
                node.sector = known[node.content]
                continue
            if node.links > 1:
                known[node.content] = sector
            node.sector = sector
            sector += -(-node.size // SECTOR)
            lying.append(node)
        for node in files:
            if isinstance(node.content, Within):
                node.sector = named[node.content.path].sector + node.content.offset // SECTOR
        bios, efi = (
            Lying(named[path].sector, named[path].size) if path else None
            for path in (boot.bios, boot.efi)
        )
        total = -(-(sector + _BEHIND) // _ALIGNMENT) * _ALIGNMENT
        if total > _MOST_SECTORS:
            raise _too_much(f"{total} sectors", "those of 8 TiB")
        return cls(label, mark, boot, mtime, directories, tuple(lying), named, bios, efi, total)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self._sectors * SECTOR

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
        loader = self._named.get(self.boot.bios)
        for node in self._files:
            content = node.content
            if isinstance(content, Within):
                continue
            if node is loader:
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


def _tree(entries: Iterable[IsoEntry], boot: Boot, mtime: int) -> tuple[_Node, dict[bytes, _Node]]:
    """Return the root directory, and by their paths the files that something leads to."""
    plain = stat.S_IFDIR | 0o755
    root = _Node(IsoEntry(b"", plain, mtime=mtime))
    wanted = {boot.bios, boot.efi} - {b""}
    for entry in entries:
        node = root
        *directories, name = entry.path.split(b"/")
        for word in directories:
            children = node.children if node.children is not None else {}
            if word not in children:
                children[word] = _Node(IsoEntry(b"", plain, mtime=mtime))
            node = children[word]
        if max(map(len, (*directories, name))) > _LONGEST_NAME:
            path = entry.path.decode(errors="replace")
            raise OutputError.of(codes.BAD_NAME, f"a name in {path} is too long")
        if entry.size > _MOST_EXTENTS * EXTENT:
            raise _too_much(f"{entry.path.decode(errors='replace')} of {entry.size}", "400 GiB")
        if not entry.path:
            root.become(entry)
        elif node.children is not None:
            found = node.children.get(name)
            if found is None:
                found = node.children[name] = _Node(entry)
            elif entry.is_directory == (found.children is not None):
                found.become(entry)
            if isinstance(entry.content, Within):
                wanted.add(entry.content.path)
    return root, {path: _at(root, path) for path in wanted}


def _at(node: _Node, path: bytes) -> _Node:
    for word in path.split(b"/"):
        node = (node.children or {})[word]
    return node


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
        px = node.attributes()
        if name == b"\0" and directory is parent:
            # Room for the reference is never left in a record.
            px = rockridge.INDICATOR + px + areas.area([rockridge.REFERENCE])
        yield record(name, node.sector, node.size, node.mtime, px, directory=True)
    children = (directory.children or {}).items()
    for own_name, node in sorted(children, key=lambda item: item[1].identifier):
        entries = [node.attributes()]
        entries += rockridge.name_entries(own_name)
        if stat.S_ISLNK(node.mode):
            entries += rockridge.link_entries(node.target)
        fitted = areas.fitted(entries, size_of_record(node.identifier).room)
        if node.children is not None:
            yield record(
                node.identifier, node.sector, node.size, node.mtime, fitted, directory=True
            )
            continue
        for sector, size, more in extents_of(node.sector, node.size):
            yield record(node.identifier, sector, size, node.mtime, fitted, more=more)


def _content(directory: _Node, parent: _Node, areas: Continuations) -> bytes:
    found = bytearray()
    for one in _records(directory, parent, areas):
        if len(found) % SECTOR + len(one) > SECTOR:
            found += bytes(-len(found) % SECTOR)
        found += one
    return bytes(found + bytes(-len(found) % SECTOR))


def _measure(directory: _Node, parent: _Node) -> tuple[int, int]:
    """Return the size of a directory and that of its continuations."""
    areas = Continuations(0)
    size = len(_content(directory, parent, areas))
    return size, -(-len(areas.data) // SECTOR) * SECTOR


def _too_much(what: str, most: str) -> OutputError:
    return OutputError.of(
        codes.TOO_LARGE,
        f"{what}: an ISO volume takes at most {most}",
        "choose a format with another filesystem, as kernel+squashfs",
    )
