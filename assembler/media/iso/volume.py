"""An ISO volume: its layout, planned from entries, and its bytes."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import read_content
from assembler.errors import OutputError
from assembler.media.iso import boot as booting
from assembler.media.iso import descriptors, rock_ridge
from assembler.media.iso.boot import IsoBoot, IsoBootImage
from assembler.media.iso.entries import FileSlice, IsoEntry
from assembler.media.iso.names import identifiers
from assembler.media.iso.records import MAX_SECTION, directory_record, file_sections, size_of_record
from assembler.media.iso.rock_ridge import ISO_SECTOR, ContinuationAreas
from assembler.media.sparse_image import Extent, extents_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_FIRST_DESCRIPTOR = 16
# The path table has 16 bits for parents.
_MAX_DIRECTORIES = 65535
_MAX_SECTORS = (1 << 32) - 1
# The most sections of a file that Linux reads.
_MAX_EXTENTS = 100
_MAX_NAME = 255
# Drives read ahead: this many sectors follow the last file.
_READ_AHEAD_SECTORS = 150
_ALIGNMENT = (1 << 20) // ISO_SECTOR


class _IsoNode:
    """An entry and its sectors, without its path, which would take most of the memory."""

    __slots__ = (
        *("children", "content", "device", "gid", "identifier", "links", "mode", "mtime"),
        *("number", "sector", "size", "target", "uid"),
    )

    def __init__(self, entry: IsoEntry) -> None:
        self.children: dict[bytes, _IsoNode] | None = {} if entry.is_directory else None
        self.identifier = b""
        self.sector = 0
        # The number of a directory in the path table.
        self.number = 0
        self.become(entry)

    def become(self, entry: IsoEntry) -> None:
        """Take the attributes of another entry of the same type."""
        self.mode, self.uid, self.gid, self.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
        self.content, self.target, self.device = entry.content, entry.target, entry.device
        self.links = entry.links
        self.size = entry.size

    def attributes(self) -> bytes:
        """Return the Rock Ridge entries of its attributes."""
        return rock_ridge.posix_entries(self.mode, self.links, (self.uid, self.gid), self.device)


@dataclass(frozen=True, slots=True)
class IsoVolume:
    """A volume with its layout."""

    label: str
    seed: bytes
    boot: IsoBoot
    mtime: int
    # With their parents, in the order of the path table.
    _directories: tuple[tuple[_IsoNode, _IsoNode], ...]
    # In the order of their sectors.
    _files: tuple[_IsoNode, ...]
    # Files that are booted, or that have slices, by their paths.
    _named: Mapping[bytes, _IsoNode]
    _bios: IsoBootImage | None
    _efi: IsoBootImage | None
    _sectors: int

    @classmethod
    def plan(
        cls,
        entries: Iterable[IsoEntry],
        *,
        label: str,
        seed: bytes,
        boot: IsoBoot | None = None,
        mtime: int = 0,
    ) -> IsoVolume:
        """Lay out a volume."""
        boot = boot or IsoBoot()
        root, named = _iso_tree(entries, boot, mtime)
        directories = _number_directories(root)
        if len(directories) > _MAX_DIRECTORIES:
            raise _too_large(f"{len(directories)} directories", f"{_MAX_DIRECTORIES}")
        sector = _FIRST_DESCRIPTOR + len(_descriptor_kinds(boot)) + bool(boot.bios or boot.efi)
        sector += 2 * -(-_path_table_size(directories) // ISO_SECTOR)
        for directory, parent in directories:
            directory.sector = sector
            directory.size, behind = _directory_size(directory, parent)
            sector += (directory.size + behind) // ISO_SECTOR
        files = [n for n in _walk_iso(root) if n.children is None]
        # A large image for UEFI has to be the last file: firmware reads to the end of the volume.
        files.sort(key=lambda n: n is named.get(boot.efi))
        known: dict[object, int] = {}
        lying = []
        for node in files:
            if isinstance(node.content, FileSlice) or not node.size:
                continue
            if node.links > 1 and node.content in known:
                node.sector = known[node.content]
                continue
            if node.links > 1:
                known[node.content] = sector
            node.sector = sector
            sector += -(-node.size // ISO_SECTOR)
            lying.append(node)
        for node in files:
            if isinstance(node.content, FileSlice):
                node.sector = named[node.content.path].sector + node.content.offset // ISO_SECTOR
        bios, efi = (
            IsoBootImage(named[path].sector, named[path].size) if path else None
            for path in (boot.bios, boot.efi)
        )
        total = -(-(sector + _READ_AHEAD_SECTORS) // _ALIGNMENT) * _ALIGNMENT
        if total > _MAX_SECTORS:
            raise _too_large(f"{total} sectors", "those of 8 TiB")
        return cls(label, seed, boot, mtime, directories, tuple(lying), named, bios, efi, total)

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self._sectors * ISO_SECTOR

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        if self._efi or self.boot.mbr:
            first = booting.master_boot_record(
                self.boot, self.seed, self._bios, self._efi, self._sectors
            )
            yield Extent(0, first)
        yield from self._front()
        for directory, parent in self._directories:
            behind = directory.sector + directory.size // ISO_SECTOR
            areas = ContinuationAreas(behind)
            yield Extent(
                directory.sector * ISO_SECTOR, _directory_content(directory, parent, areas)
            )
            if areas.data:
                yield Extent(behind * ISO_SECTOR, bytes(areas.data))
        loader = self._named.get(self.boot.bios)
        for node in self._files:
            content = node.content
            if isinstance(content, FileSlice):
                continue
            if node is loader:
                content = booting.with_boot_info_table(
                    read_content(content), node.sector, _FIRST_DESCRIPTOR
                )
            yield from extents_of(node.sector * ISO_SECTOR, content)

    def _front(self) -> Iterator[Extent]:
        """Yield the descriptors and the path tables."""
        at = _FIRST_DESCRIPTOR
        kinds = _descriptor_kinds(self.boot)
        catalog = _FIRST_DESCRIPTOR + len(kinds)
        tables = catalog + bool(self._bios or self._efi)
        little = self._path_table("little")
        length = -(-len(little) // ISO_SECTOR)
        root = self._directories[0][0]
        for kind in kinds:
            if kind == "primary":
                data = descriptors.primary_descriptor(
                    label=self.label,
                    sectors=self._sectors,
                    root=directory_record(
                        b"\0", root.sector, root.size, self.mtime, directory=True
                    ),
                    table=descriptors.PathTables(len(little), tables, tables + length),
                    mtime=self.mtime,
                )
            elif kind == "boot":
                data = booting.boot_record(catalog)
            else:
                data = descriptors.TERMINATOR
            yield Extent(at * ISO_SECTOR, data)
            at += 1
        if self._bios or self._efi:
            yield Extent(catalog * ISO_SECTOR, booting.boot_catalog(self._bios, self._efi))
        yield Extent(tables * ISO_SECTOR, little)
        yield Extent((tables + length) * ISO_SECTOR, self._path_table("big"))

    def _path_table(self, order: str) -> bytes:
        found = bytearray()
        for directory, parent in self._directories:
            name = directory.identifier or b"\0"
            found += bytes([len(name), 0])
            found += directory.sector.to_bytes(4, "little" if order == "little" else "big")
            found += parent.number.to_bytes(2, "little" if order == "little" else "big")
            found += name + bytes(len(name) % 2)
        return bytes(found)


def _descriptor_kinds(boot: IsoBoot) -> Sequence[str]:
    return ("primary", "boot", "end") if boot.bios or boot.efi else ("primary", "end")


def _iso_tree(
    entries: Iterable[IsoEntry], boot: IsoBoot, mtime: int
) -> tuple[_IsoNode, dict[bytes, _IsoNode]]:
    """Return the root directory, and the files that are booted or have slices by their paths."""
    plain = stat.S_IFDIR | 0o755
    root = _IsoNode(IsoEntry(b"", plain, mtime=mtime))
    wanted = {boot.bios, boot.efi} - {b""}
    for entry in entries:
        node = root
        *directories, name = entry.path.split(b"/")
        for word in directories:
            children = node.children if node.children is not None else {}
            if word not in children:
                children[word] = _IsoNode(IsoEntry(b"", plain, mtime=mtime))
            node = children[word]
        if max(map(len, (*directories, name))) > _MAX_NAME:
            path = entry.path.decode(errors="replace")
            raise OutputError.of(codes.BAD_NAME, f"a name in {path} is too long")
        if entry.size > _MAX_EXTENTS * MAX_SECTION:
            raise _too_large(f"{entry.path.decode(errors='replace')} of {entry.size}", "400 GiB")
        if not entry.path:
            root.become(entry)
        elif node.children is not None:
            found = node.children.get(name)
            if found is None:
                found = node.children[name] = _IsoNode(entry)
            elif entry.is_directory == (found.children is not None):
                found.become(entry)
            if isinstance(entry.content, FileSlice):
                wanted.add(entry.content.path)
    return root, {path: _node_at(root, path) for path in wanted}


def _node_at(node: _IsoNode, path: bytes) -> _IsoNode:
    for word in path.split(b"/"):
        node = (node.children or {})[word]
    return node


def _number_directories(root: _IsoNode) -> tuple[tuple[_IsoNode, _IsoNode], ...]:
    """Return all directories with their parents, numbered; each node gets its identifier."""
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


def _walk_iso(node: _IsoNode) -> Iterator[_IsoNode]:
    yield node
    for name in sorted(node.children or ()):
        if node.children is not None:
            yield from _walk_iso(node.children[name])


def _path_table_size(directories: Sequence[tuple[_IsoNode, _IsoNode]]) -> int:
    names = (directory.identifier or b"\0" for directory, _ in directories)
    return sum(8 + len(name) + len(name) % 2 for name in names)


def _directory_records(
    directory: _IsoNode, parent: _IsoNode, areas: ContinuationAreas
) -> Iterator[bytes]:
    """Yield the records of a directory, in order."""
    for name, node in ((b"\0", directory), (b"\1", parent)):
        px = node.attributes()
        if name == b"\0" and directory is parent:
            # The reference never fits into a record.
            px = rock_ridge.SHARING_PROTOCOL + px + areas.area([rock_ridge.EXTENSION_REFERENCE])
        yield directory_record(name, node.sector, node.size, node.mtime, px, directory=True)
    children = (directory.children or {}).items()
    for own_name, node in sorted(children, key=lambda item: item[1].identifier):
        entries = [node.attributes()]
        entries += rock_ridge.name_entries(own_name)
        if stat.S_ISLNK(node.mode):
            entries += rock_ridge.link_entries(node.target)
        fitted = areas.fitted(entries, size_of_record(node.identifier).room)
        if node.children is not None:
            yield directory_record(
                node.identifier, node.sector, node.size, node.mtime, fitted, directory=True
            )
            continue
        for sector, size, more in file_sections(node.sector, node.size):
            yield directory_record(node.identifier, sector, size, node.mtime, fitted, more=more)


def _directory_content(directory: _IsoNode, parent: _IsoNode, areas: ContinuationAreas) -> bytes:
    found = bytearray()
    for one in _directory_records(directory, parent, areas):
        if len(found) % ISO_SECTOR + len(one) > ISO_SECTOR:
            found += bytes(-len(found) % ISO_SECTOR)
        found += one
    return bytes(found + bytes(-len(found) % ISO_SECTOR))


def _directory_size(directory: _IsoNode, parent: _IsoNode) -> tuple[int, int]:
    """Return the size of a directory and that of its continuations."""
    areas = ContinuationAreas(0)
    size = len(_directory_content(directory, parent, areas))
    return size, -(-len(areas.data) // ISO_SECTOR) * ISO_SECTOR


def _too_large(what: str, most: str) -> OutputError:
    return OutputError.of(
        codes.TOO_LARGE,
        f"{what}: an ISO volume holds at most {most}",
        "choose a format with another filesystem, such as kernel+squashfs",
    )
