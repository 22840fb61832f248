"""The whole tree as a tar with each path once, for programs that make filesystems of it.

The tree is read twice: first to decide which entries stay, then to write these. In between, memory
holds a number for each entry, so that the tree may have hundreds of thousands, and the headers of
directories, symbolic links and hard links.

What stays is what a kernel has after unpacking the tree as an initrd: the last entry of each path,
but a directory that is not empty is never replaced by something else. Symbolic links in the
directories of a path are followed. Entries below boot are left out, but a hard link to a file below
boot is that file.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from isal.isal_zlib import crc32

from assembler.content import FileRange
from assembler.encode import TAR_END, Inventory, TarEncoder
from assembler.formats.symlinks import resolve_directory
from assembler.oci import DIRECTORY, HARD_LINK, SYMLINK, TarReader, normalize_tar_path
from assembler.rootfs import STANDARD_TIME

if TYPE_CHECKING:
    from assembler.encode import Bytes

Pieces = Iterable[bytes | memoryview | FileRange]

_BOOT = b"boot"
_HASH_MASK = (1 << 64) - 1
# The fate of an entry: it stays, a later one replaces it or it is below boot, or it is ignored.
_STAYS, _REPLACED, _REFUSED = range(3)


class MergedTar:
    """A tree that was surveyed; `tree` returns its pieces each time it is called."""

    def __init__(self, tree: Callable[[], Pieces], *, keeps_boot: bool = False) -> None:
        """Survey the tree; entries below boot stay if it is not a root filesystem."""
        self._tree = tree
        self._survey = _TreeSurvey(keeps_boot=keeps_boot)
        checksum = 0
        seen = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            nonlocal checksum
            for data in _piece_chunks(tree()):
                checksum = crc32(data, checksum)
                yield data

        below_boot = 0
        for path, reader in _read_entries(chunks(), self._survey.resolver):
            if self._survey.drops(path):
                below_boot += 1
                self._survey.add_below_boot(path, reader)
                continue
            about = (path, reader.kind, reader.mode, reader.uid, reader.gid, reader.size)
            seen.update(b"%r %d\n" % (about, reader.mtime))
            self._survey.add(path, reader)
        self._survey.decide_fates()
        seen.update(b"%d" % checksum)
        # Equal trees have equal ones, and different trees have different ones.
        self.identity = seen.digest()
        # The number of entries, including those that are replaced.
        self.count = len(self._survey.fates) - below_boot

    def chunks(self) -> Iterator[Bytes]:
        """Yield the tar."""
        return _MergedTarWriter(self._survey).write(_piece_chunks(self._tree()))


@dataclass(frozen=True, slots=True)
class _DirectoryHeader:
    """The header of a directory, with the attributes of a `TarReader`."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = STANDARD_TIME
    mtime_text: bytes = b""
    owner: bytes = bytes(64)
    records: dict[bytes, bytes] = field(default_factory=dict)
    kind: int = DIRECTORY
    size: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0

    @classmethod
    def of(cls, reader: TarReader) -> _DirectoryHeader:
        """Copy the header that the reader is at."""
        return cls(
            reader.mode,
            reader.uid,
            reader.gid,
            reader.mtime,
            reader.mtime_text,
            reader.owner,
            dict(reader.records),
        )


class _LinkResolver:
    """The symbolic links of the tree, and where paths through them lead."""

    def __init__(self) -> None:
        self._targets: dict[bytes, bytes] = {}
        self._resolved: dict[bytes, bytes] = {}

    def real(self, path: bytes) -> bytes:
        """Return the path of an entry without links in its directory."""
        directory, _, name = path.rpartition(b"/")
        if not directory:
            return name
        found = self._resolved.get(directory)
        if found is None:
            found = self._resolved[directory] = resolve_directory(directory, self._targets.get)
        return found + b"/" + name if found else name

    def note(self, path: bytes, target: bytes | None) -> None:
        """Note that a real path now has a link with a target, or something else (None)."""
        if target is None:
            if self._targets.pop(path, None) is not None:
                self._resolved.clear()
        else:
            self._targets[path] = target
            self._resolved.clear()


def _read_entries(
    chunks: Iterable[bytes], resolver: _LinkResolver
) -> Iterator[tuple[bytes, TarReader]]:
    """Yield the real path of each entry, and the reader at it."""
    reader = TarReader(chunks)
    while reader.next():
        path = resolver.real(normalize_tar_path(reader.name))
        if path:
            yield path, reader


def _piece_chunks(pieces: Pieces) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, FileRange):
            yield from piece.chunks()
        else:
            yield bytes(piece)


class _TreeSurvey:
    """The entries of the tree, and which of them stay."""

    def __init__(self, *, keeps_boot: bool = False) -> None:
        self.resolver = _LinkResolver()
        self._keeps_boot = keeps_boot
        # By the number of the entry: the hash of its path, and its fate.
        self._paths = array("Q")
        self.fates = bytearray()
        self.directories: dict[bytes, _DirectoryHeader] = {}
        # Directories that are not empty.
        self._used: set[bytes] = set()
        # Directories without an entry of their own, with the number of the first entry in them.
        self._implied: dict[bytes, int] = {}
        # Hard links by their number: their path, and that of their file.
        self._hard_links: dict[int, tuple[bytes, bytes]] = {}
        # Files that are replaced, but have hard links that stay: the path of the first link.
        self.heirs: dict[int, bytes] = {}
        # Hard links by their number: the path of their file; None if the link became the file.
        self.originals: dict[int, bytes | None] = {}

    def drops(self, path: bytes) -> bool:
        """Tell whether an entry is left out because of its path."""
        return not self._keeps_boot and (path == _BOOT or path.startswith(b"boot/"))

    def add(self, path: bytes, reader: TarReader) -> None:
        """Add an entry."""
        kind = reader.kind
        self._paths.append(hash(path) & _HASH_MASK)
        if kind == DIRECTORY:
            self.directories[path] = _DirectoryHeader.of(reader)
        elif path in self._used:
            self.fates.append(_REFUSED)
            return
        else:
            self.directories.pop(path, None)
            if kind == HARD_LINK:
                self._add_link(path, reader)
        self.resolver.note(path, reader.link if kind == SYMLINK else None)
        directory = path.rpartition(b"/")[0]
        while directory and directory not in self._used:
            self._used.add(directory)
            if directory not in self.directories:
                self.directories[directory] = _DirectoryHeader()
                self._implied[directory] = len(self.fates)
            directory = directory.rpartition(b"/")[0]
        self.fates.append(_STAYS)

    def add_below_boot(self, path: bytes, reader: TarReader) -> None:
        """Add an entry that is left out, but may have hard links that stay."""
        self._paths.append(hash(path) & _HASH_MASK)
        if reader.kind == HARD_LINK:
            self._add_link(path, reader)
        self.fates.append(_REPLACED)

    def _add_link(self, path: bytes, reader: TarReader) -> None:
        target = self.resolver.real(normalize_tar_path(reader.link))
        self._hard_links[len(self.fates)] = path, target

    def decide_fates(self) -> None:
        """Decide the fate of each entry."""
        paths, fates = self._paths, self.fates
        order = sorted(range(len(paths)), key=paths.__getitem__)
        for number in self._hard_links:
            if self._file_of(number, order) is None:
                # The file does not exist, so the link is ignored and replaces nothing.
                fates[number] = _REFUSED
        last = -1
        for number in reversed(order):
            if fates[number] != _STAYS:
                continue
            if last >= 0 and paths[last] == paths[number]:
                fates[number] = _REPLACED
            else:
                last = number
        for path, before in self._implied.items():
            replaced = self._last_before(before, path, order)
            if replaced is not None and fates[replaced] == _STAYS:
                fates[replaced] = _REPLACED
        for number in self._hard_links:
            self._decide_link(number, order)
        self._hard_links.clear()
        del self._paths[:]

    def _decide_link(self, number: int, order: list[int]) -> None:
        """Find the file of a hard link, and the link that gets its content if it is replaced."""
        file = self._file_of(number, order)
        if file is None or self.fates[number] != _STAYS:
            return
        file_number, name = file
        if self.fates[file_number] == _STAYS:
            self.originals[number] = name
        elif file_number in self.heirs:
            self.originals[number] = self.heirs[file_number]
        else:
            self.heirs[file_number] = self._hard_links[number][0]
            self.originals[number] = None

    def _file_of(self, number: int, order: list[int]) -> tuple[int, bytes] | None:
        """Return the number and the path of the file of a hard link, if there is one."""
        name = self._hard_links[number][1]
        file_number = self._last_before(number, name, order)
        while file_number is not None and file_number in self._hard_links:
            name = self._hard_links[file_number][1]
            file_number = self._last_before(file_number, name, order)
        return None if file_number is None else (file_number, name)

    def _last_before(self, number: int, path: bytes, order: list[int]) -> int | None:
        """Return the number of the last entry at a path before a number."""
        path_hash = hash(path) & _HASH_MASK
        start = bisect_left(order, path_hash, key=self._paths.__getitem__)
        last = None
        for candidate in order[start:]:
            if self._paths[candidate] != path_hash or candidate >= number:
                break
            if self.fates[candidate] != _REFUSED:
                last = candidate
        return last


class _MergedTarWriter:
    """Writes the entries that stay."""

    def __init__(self, survey: _TreeSurvey) -> None:
        self._survey = survey
        self._pieces: list[Bytes] = []
        self._encoder = TarEncoder(self, None, "", Inventory())
        self._written: set[bytes] = set()

    def put(self, data: Bytes) -> None:
        self._pieces.append(data)

    def finish(self) -> None:
        """Do nothing: pieces are yielded as they come."""

    def write(self, chunks: Iterable[bytes]) -> Iterator[Bytes]:
        """Yield the tar; the tree is read again."""
        survey = self._survey
        resolver = _LinkResolver()
        # Without it the program would choose mode and time of the root directory.
        self._encoder.add(b".", cast("TarReader", _DirectoryHeader()))
        for number, (path, reader) in enumerate(_read_entries(chunks, resolver)):
            fate = survey.fates[number]
            if fate != _REFUSED and not survey.drops(path):
                resolver.note(path, reader.link if reader.kind == SYMLINK else None)
            if fate == _REPLACED and number in survey.heirs:
                self._add(survey.heirs[number], reader)
            elif path in survey.directories:
                self._write_directory(path)
            elif fate == _STAYS:
                self._add(path, reader, survey.originals.get(number, b""))
            yield from self._take_pieces()
        yield from self._take_pieces()
        yield TAR_END

    def _take_pieces(self) -> list[Bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _add(self, path: bytes, reader: TarReader, original: bytes | None = b"") -> None:
        """Write an entry; `original` is the file of a hard link."""
        if original is None:
            return
        self._write_parents(path)
        if reader.kind == HARD_LINK:
            self._encoder.link(path, original, reader)
        else:
            self._encoder.add(path, reader)

    def _write_parents(self, path: bytes) -> None:
        """Write the directories of a path that are not written yet."""
        directory = path.rpartition(b"/")[0]
        if directory and directory not in self._written:
            self._write_directory(directory)

    def _write_directory(self, path: bytes) -> None:
        if path in self._written:
            return
        self._write_parents(path)
        self._written.add(path)
        self._encoder.add(path, cast("TarReader", self._survey.directories[path]))
