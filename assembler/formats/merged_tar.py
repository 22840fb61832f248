"""The whole tree as a tar that has each path once, for programs that make filesystems of it.

The tree is gone through twice: first to see what of it stays, then to write that. In between there
is kept of each entry only a number, so that the tree may have hundreds of thousands; of
directories, symbolic links and other names of files, what they are.

What stays is what a kernel has after unpacking the tree as an initrd: of each path the last entry,
but a directory with something in it is never replaced by what is none. A path that goes through a
symbolic link is where the link leads to. What is below boot is left out.
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from isal.isal_zlib import crc32

from assembler.content import FileRange
from assembler.encode import tar
from assembler.encode.inventory import Inventory
from assembler.encode.tar import TarEncoder
from assembler.formats.symlinks import resolve_directory
from assembler.oci import DIRECTORY, LINK, SYMLINK, TarReader, clean
from assembler.rootfs.plan import STANDARD_TIME

if TYPE_CHECKING:
    from assembler.encode.output import Bytes

Pieces = Iterable[bytes | memoryview | FileRange]

_BOOT = b"boot"
_HASH_MASK = (1 << 64) - 1
# What becomes of an entry: it stays, something else is there later, or it was never taken.
_KEPT, _REPLACED, _REFUSED = range(3)


class MergedTar:
    """A tree that was gone through; `tree` gives its pieces each time it is called."""

    def __init__(self, tree: Callable[[], Pieces]) -> None:
        """Go through it."""
        self._tree = tree
        self._survey = _TreeSurvey()
        checksum = 0
        seen = hashlib.sha256()

        def chunks() -> Iterator[bytes]:
            nonlocal checksum
            for data in _piece_chunks(tree()):
                checksum = crc32(data, checksum)
                yield data

        for path, reader in _read_entries(chunks(), self._survey.resolver):
            about = (path, reader.kind, reader.mode, reader.uid, reader.gid, reader.size)
            seen.update(b"%r %d\n" % (about, reader.mtime))
            self._survey.add(path, reader)
        self._survey.settle()
        seen.update(b"%d" % checksum)
        # Trees that differ have another one, and the same tree has it always.
        self.identity = seen.digest()
        # How many entries there are, those included that are replaced.
        self.count = len(self._survey.fates)

    def chunks(self) -> Iterator[Bytes]:
        """Yield the tar."""
        return _MergedTarWriter(self._survey).write(_piece_chunks(self._tree()))


@dataclass(frozen=True, slots=True)
class _DirectoryHeader:
    """What a tar header says of a directory, as a `TarReader` would."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = STANDARD_TIME
    mtime_text: bytes = b""
    owner: bytes = bytes(64)
    records: dict[bytes, bytes] | None = None
    kind: int = DIRECTORY
    size: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0

    @classmethod
    def of(cls, reader: TarReader) -> _DirectoryHeader:
        """Keep what the reader stands at."""
        return cls(
            reader.mode,
            reader.uid,
            reader.gid,
            reader.mtime,
            reader.mtime_text,
            reader.owner,
            dict(reader.records) if reader.records else None,
        )


class _LinkResolver:
    """Knows the symbolic links there are, and where paths lead that go through them."""

    def __init__(self) -> None:
        self._targets: dict[bytes, bytes] = {}
        self._led: dict[bytes, bytes] = {}

    def real(self, path: bytes) -> bytes:
        """Return where an entry is that is called so; links are followed but for the last word."""
        directory, _, name = path.rpartition(b"/")
        if not directory:
            return name
        found = self._led.get(directory)
        if found is None:
            found = self._led[directory] = resolve_directory(directory, self._targets.get)
        return found + b"/" + name if found else name

    def note(self, path: bytes, target: bytes | None) -> None:
        """Take notice of what is at a real path now: a link to somewhere, or something else."""
        if target is None:
            if self._targets.pop(path, None) is not None:
                self._led.clear()
        else:
            self._targets[path] = target
            self._led.clear()


def _read_entries(
    chunks: Iterable[bytes], resolver: _LinkResolver
) -> Iterator[tuple[bytes, TarReader]]:
    """Yield the reader at each entry that is not below boot, and where that entry really is."""
    reader = TarReader(chunks)
    while reader.next():
        path = resolver.real(clean(reader.name))
        if path and path != _BOOT and not path.startswith(b"boot/"):
            yield path, reader


def _piece_chunks(pieces: Pieces) -> Iterator[bytes]:
    for piece in pieces:
        if isinstance(piece, FileRange):
            yield from piece.chunks()
        else:
            yield bytes(piece)


class _TreeSurvey:
    """What there is, and what of it stays."""

    def __init__(self) -> None:
        self.resolver = _LinkResolver()
        # Of each entry, by its number: its path as a number, and what becomes of it.
        self._paths = array("Q")
        self.fates = bytearray()
        self.directories: dict[bytes, _DirectoryHeader] = {}
        # Directories with something in them.
        self._used: set[bytes] = set()
        # Those that nothing makes but what is in them, with the number of the first entry there.
        self._implied: dict[bytes, int] = {}
        # Of other names of files: their own, and those of the files.
        self._names: dict[int, tuple[bytes, bytes]] = {}
        # The files that do not stay, but have other names that do: the first of those.
        self.heirs: dict[int, bytes] = {}
        # Other names, by their number: the one that stands for the file; none is the file itself.
        self.originals: dict[int, bytes | None] = {}

    def add(self, path: bytes, reader: TarReader) -> None:
        """Take in an entry."""
        kind = reader.kind
        self._paths.append(hash(path) & _HASH_MASK)
        if kind == DIRECTORY:
            self.directories[path] = _DirectoryHeader.of(reader)
        elif path in self._used:
            self.fates.append(_REFUSED)
            return
        else:
            self.directories.pop(path, None)
            if kind == LINK:
                target = self.resolver.real(clean(reader.link))
                self._names[len(self.fates)] = path, target
        self.resolver.note(path, reader.link if kind == SYMLINK else None)
        directory = path.rpartition(b"/")[0]
        while directory and directory not in self._used:
            self._used.add(directory)
            if directory not in self.directories:
                self.directories[directory] = _DirectoryHeader()
                self._implied[directory] = len(self.fates)
            directory = directory.rpartition(b"/")[0]
        self.fates.append(_KEPT)

    def settle(self) -> None:
        """Decide what stays."""
        paths, fates = self._paths, self.fates
        order = sorted(range(len(paths)), key=paths.__getitem__)
        last = -1
        for number in reversed(order):
            if fates[number] != _KEPT:
                continue
            if last >= 0 and paths[last] == paths[number]:
                fates[number] = _REPLACED
            else:
                last = number
        for path, until in self._implied.items():
            found = self._before(until, path, order)
            if found is not None and fates[found] == _KEPT:
                fates[found] = _REPLACED
        for number in self._names:
            self._settle_name(number, order)
        self._names.clear()
        del self._paths[:]

    def _settle_name(self, number: int, order: list[int]) -> None:
        """Find the file that another name is of, and who has its content if it does not stay."""
        path, target = self._names[number]
        found, name = self._before(number, target, order), target
        while found is not None and found in self._names:
            name = self._names[found][1]
            found = self._before(found, name, order)
        if found is None:
            # There is no such file: nothing becomes of the name.
            self.fates[number] = _REFUSED
        elif self.fates[number] == _KEPT:
            if self.fates[found] == _KEPT:
                self.originals[number] = name
            elif found in self.heirs:
                self.originals[number] = self.heirs[found]
            else:
                self.heirs[found] = path
                self.originals[number] = None

    def _before(self, number: int, path: bytes, order: list[int]) -> int | None:
        """Return the last entry at a path before the one of a number."""
        wanted = hash(path) & _HASH_MASK
        start = bisect_left(order, wanted, key=self._paths.__getitem__)
        found = None
        for other in order[start:]:
            if self._paths[other] != wanted or other >= number:
                break
            if self.fates[other] != _REFUSED:
                found = other
        return found


class _MergedTarWriter:
    """Writes what stays."""

    def __init__(self, survey: _TreeSurvey) -> None:
        self._survey = survey
        self._pieces: list[Bytes] = []
        self._encoder = TarEncoder(self, None, "", Inventory())
        self._made: set[bytes] = set()

    def put(self, data: Bytes) -> None:
        self._pieces.append(data)

    def finish(self) -> None:
        """Do nothing: pieces are taken when they are there."""

    def write(self, chunks: Iterable[bytes]) -> Iterator[Bytes]:
        """Yield the tar, going through the tree again."""
        survey = self._survey
        resolver = _LinkResolver()
        # Else the root directory would have the mode and time that come to the program's mind.
        self._encoder.add(b".", cast("TarReader", _DirectoryHeader()))
        for number, (path, reader) in enumerate(_read_entries(chunks, resolver)):
            fate = survey.fates[number]
            if fate != _REFUSED:
                resolver.note(path, reader.link if reader.kind == SYMLINK else None)
            if fate == _REPLACED and number in survey.heirs:
                self._add(survey.heirs[number], reader)
            elif path in survey.directories:
                self._make(path)
            elif fate == _KEPT:
                self._add(path, reader, survey.originals.get(number, b""))
            yield from self._taken()
        yield from self._taken()
        yield tar.END

    def _taken(self) -> list[Bytes]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def _add(self, path: bytes, reader: TarReader, original: bytes | None = b"") -> None:
        """Write an entry; `original` is the file that it is another name of, if it is one."""
        if original is None:
            return
        self._lead(path)
        if reader.kind == LINK:
            self._encoder.link(path, original, reader)
        else:
            self._encoder.add(path, reader)

    def _lead(self, path: bytes) -> None:
        """Write the directories that lead to a path and are not there yet."""
        directory = path.rpartition(b"/")[0]
        if directory and directory not in self._made:
            self._make(directory)

    def _make(self, path: bytes) -> None:
        if path in self._made:
            return
        self._lead(path)
        self._made.add(path)
        self._encoder.add(path, cast("TarReader", self._survey.directories[path]))
