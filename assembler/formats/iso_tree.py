"""The whole tree as entries of an ISO volume: the last entry of each path.

The tree comes as the tar that Dolmen writes, in pieces. Contents are not copied: they are ranges of
the segments' files. Symbolic links in the directories of a path are followed, as by a program that
unpacks the tar.
"""

from __future__ import annotations

import stat
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.content import (
    Content,
    ContentChain,
    FileRange,
    content_size,
    read_content,
    slice_content,
)
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import OutputError
from assembler.events import WarningEmitted
from assembler.formats.symlinks import resolve_directory
from assembler.media import IsoEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.encode import Assembly

_TAR_BLOCK = 512
_BOOT = b"boot/"
_CAPABILITY = b"SCHILY.xattr.security.capability"
_MAX_NAMED = 3
_TYPES = {
    b"0": stat.S_IFREG,
    b"\0": stat.S_IFREG,
    b"2": stat.S_IFLNK,
    b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK,
    b"5": stat.S_IFDIR,
    b"6": stat.S_IFIFO,
}
_LINK, _MORE, _MORE_FOR_ALL = b"1", b"x", b"g"
_DEVICES = (b"3", b"4")
_NO_DEVICE = (0, 0)
# Each entry takes half a KiB of memory until the volume is written.
MAX_ISO_ENTRIES = 35_000


def iso_entries(assembly: Assembly, spill: IO[bytes]) -> Iterator[IsoEntry]:
    """Return the entries of an assembly's tree without those below boot.

    A hard link to a file below boot is that file.

    Contents that are in no segment are copied to `spill`, which stays open while the entries are
    in use.
    """
    merged = _MergedTree()
    capable: list[bytes] = []
    for entry, link in _read_tar(assembly.tree(), spill, capable):
        merged.add(entry, link)
    if capable:
        assembly.reporter.emit(WarningEmitted(_capability_warning(capable)))
    return merged.entries()


def _capability_warning(capable: list[bytes]) -> Diagnostic:
    names = ", ".join(path.decode("utf-8", "replace") for path in capable[:_MAX_NAMED])
    suffix = f" and {len(capable) - _MAX_NAMED} more" if len(capable) > _MAX_NAMED else ""
    return Diagnostic(
        codes.LOST_ATTRIBUTES,
        f"file capabilities are lost on the ISO volume: {names}{suffix}",
        hints=("kernel+squashfs and kernel+erofs keep them",),
        severity=Severity.WARNING,
    )


class _MergedTree:
    """Entries by their paths; later ones replace earlier ones."""

    def __init__(self) -> None:
        self._entries: dict[bytes, IsoEntry] = {}
        # Directories without symbolic links, by the directories of entries.
        self._resolved: dict[bytes, bytes] = {}
        # Entries below boot, which only hard links make part of the volume.
        self._below_boot: dict[bytes, IsoEntry] = {}
        # The hard links of a file have the same number.
        self._groups: dict[bytes, int] = {}
        self._group_numbers = count()

    def add(self, entry: IsoEntry, link: bytes | None) -> None:
        directory, _, name = entry.path.rpartition(b"/")
        directory = self._resolve(directory)
        path = directory + b"/" + name if directory else name
        is_below_boot = entry.path.startswith(_BOOT) or path.startswith(_BOOT)
        entries = self._below_boot if is_below_boot else self._entries
        if link is not None:
            self._link(path, self._target_path(link), entries)
            return
        if is_below_boot:
            self._groups.pop(path, None)
            entries[path] = entry
            return
        existing = self._entries.get(path)
        is_covered = existing is not None and existing.is_directory and not entry.is_directory
        if is_covered and any(p.startswith(path + b"/") for p in self._entries):
            # The kernel keeps a directory that is not empty, too, when it unpacks an initrd.
            return
        if stat.S_ISLNK(entry.mode) or (existing is not None and stat.S_ISLNK(existing.mode)):
            self._resolved.clear()
        self._groups.pop(path, None)
        self._entries[path] = entry if path == entry.path else replace(entry, path=path)
        if len(self._entries) > MAX_ISO_ENTRIES:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"the system has more than {MAX_ISO_ENTRIES} files: too many for an ISO volume",
                "choose kernel+squashfs or kernel+erofs",
            )

    def _target_path(self, link: bytes) -> bytes:
        directory, _, name = link.rpartition(b"/")
        directory = self._resolve(directory)
        return directory + b"/" + name if directory else name

    def _find(self, path: bytes) -> IsoEntry | None:
        return self._entries.get(path) or self._below_boot.get(path)

    def _link(self, path: bytes, target: bytes, entries: dict[bytes, IsoEntry]) -> None:
        file = self._find(target)
        if file is not None and path != target:
            if target not in self._groups:
                self._groups[target] = next(self._group_numbers)
            self._groups[path] = self._groups[target]
            entries[path] = replace(file, path=path)

    def entries(self) -> Iterator[IsoEntry]:
        """Yield all entries, and drop each: memory has no room for all of them twice."""
        groups = {p: group for p, group in self._groups.items() if p in self._entries}
        counts = Counter(groups.values())
        for path, group in groups.items():
            self._entries[path] = replace(self._entries[path], links=counts[group])
        self._groups.clear()
        self._below_boot.clear()
        while self._entries:
            yield self._entries.popitem()[1]

    def _resolve(self, directory: bytes) -> bytes:
        """Return a directory without symbolic links in its path."""
        if not directory:
            return b""
        resolved = self._resolved.get(directory)
        if resolved is None:
            resolved = self._resolved[directory] = resolve_directory(directory, self._target)
        return resolved

    def _target(self, path: bytes) -> bytes | None:
        entry = self._entries.get(path)
        return entry.target if entry is not None and stat.S_ISLNK(entry.mode) else None


def _read_tar(
    pieces: Iterable[bytes | memoryview | FileRange], spill: IO[bytes], capable: list[bytes]
) -> Iterator[tuple[IsoEntry, bytes | None]]:
    """Yield the entries of a tar, each with its target if it is a hard link.

    The paths of files with capabilities are added to `capable`.
    """
    stream = _PieceStream(pieces, spill)
    records: dict[bytes, bytes] = {}
    while (header := read_content(stream.take(_TAR_BLOCK))).strip(b"\0"):
        kind = header[156:157]
        size = (
            int(records.get(b"size", b"")) if b"size" in records else _number_field(header[124:136])
        )
        content = stream.take(size, in_entry=True)
        stream.take(-size % _TAR_BLOCK)
        if kind == _MORE:
            records = dict(_pax_records(read_content(content)))
            continue
        if kind != _MORE_FOR_ALL:
            entry, link = _iso_entry(header, kind, records, content)
            if _CAPABILITY in records:
                capable.append(entry.path)
            yield entry, link
        records = {}


def _iso_entry(
    header: bytes, kind: bytes, records: dict[bytes, bytes], content: Content
) -> tuple[IsoEntry, bytes | None]:
    name = _text_field(header[:100])
    if prefix := _text_field(header[345:500]):
        name = prefix + b"/" + name
    target = records.get(b"linkpath", _text_field(header[157:257]))
    entry = IsoEntry(
        path=_clean_path(records.get(b"path", name)),
        mode=_mode(kind, header[100:108]),
        content=content if kind in (b"0", b"\0") else b"",
        target=target if kind == b"2" else b"",
        device=(_number_field(header[329:337]), _number_field(header[337:345]))
        if kind in _DEVICES
        else _NO_DEVICE,
        uid=int(records.get(b"uid", b"") or _number_field(header[108:116])),
        gid=int(records.get(b"gid", b"") or _number_field(header[116:124])),
        mtime=int(records.get(b"mtime", b"").partition(b".")[0] or _number_field(header[136:148])),
    )
    return entry, _clean_path(target) if kind == _LINK else None


@lru_cache(4096)
def _mode(kind: bytes, field: bytes) -> int:
    return _TYPES.get(kind, stat.S_IFREG) | _number_field(field) & 0o7777


def _clean_path(path: bytes) -> bytes:
    return b"/".join(w for w in path.split(b"/") if w not in (b"", b"."))


def _text_field(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


@lru_cache(4096)
def _number_field(field: bytes) -> int:
    """Return a number; the cache shares equal ones, of which there are many."""
    if field[:1] in (b"\x80", b"\xff"):
        return int.from_bytes(field, "big", signed=True) & (1 << 63) - 1
    return int(field.rstrip(b"\0 ") or b"0", 8)


def _pax_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        length = int(data[: data.index(b" ")])
        key, _, value = data[data.index(b" ") + 1 : length - 1].partition(b"=")
        yield key, value
        data = data[length:]


class _PieceStream:
    """Pieces as one stream; ranges of open segments are taken without a copy.

    A piece that begins within an entry is a file of image.yml, which is closed soon: it is copied.
    """

    def __init__(self, pieces: Iterable[bytes | memoryview | FileRange], spill: IO[bytes]) -> None:
        self._pieces = iter(pieces)
        self._fresh = spill
        self._piece: bytes | FileRange = b""
        self._at = 0

    def take(self, size: int, *, in_entry: bool = False) -> Content:
        """Return the next bytes, fewer at the end; `in_entry`: of the content of an entry."""
        pieces: list[bytes | FileRange] = []
        remaining = size
        while remaining > 0:
            available = content_size(self._piece) - self._at
            if not available:
                piece = next(self._pieces, None)
                if piece is None:
                    break
                self._piece = bytes(piece) if isinstance(piece, memoryview) else piece
                self._at = 0
                if isinstance(piece, FileRange) and in_entry:
                    self._piece = self._copy_to_spill(piece)
                continue
            piece_part = slice_content(self._piece, self._at, min(available, remaining))
            if isinstance(piece_part, bytes | FileRange):
                pieces.append(piece_part)
            self._at += content_size(piece_part)
            remaining -= content_size(piece_part)
        return pieces[0] if len(pieces) == 1 else ContentChain(tuple(pieces)) if pieces else b""

    def _copy_to_spill(self, file_range: FileRange) -> FileRange:
        start = self._fresh.seek(0, 2)
        for data in file_range.chunks():
            self._fresh.write(data)
        self._fresh.flush()
        return FileRange(self._fresh.fileno(), file_range.size, start)
