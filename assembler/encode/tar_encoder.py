"""Writing tar archives in the pax format, from entries of other archives and generated ones."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING
from zlib import adler32

from assembler.encode.inventory import Inventory
from assembler.oci import DIRECTORY, FILE, HARD_LINK, SYMLINK, TarReader
from assembler.rootfs import EntryKind, GeneratedEntry, Origin

if TYPE_CHECKING:
    from assembler.encode.byte_sinks import Bytes, ByteSink

# Increase it when the bytes for the same input change.
VERSION = 3
TAR_END = bytes(1024)

_PADDING = tuple(bytes(n) for n in range(512))
_LARGEST_ID = 0o7777777
_LARGEST_NUMBER = 0o77777777777
_NO_OWNER = bytes(64)
_MAGIC = b"ustar\x0000"
_KINDS = {EntryKind.FILE: FILE, EntryKind.DIRECTORY: DIRECTORY, EntryKind.SYMLINK: SYMLINK}
_MOST_REMEMBERED = 4096


class TarEncoder:
    """Write the entries of one part; the comment of each entry is its origin."""

    def __init__(
        self, output: ByteSink, origin: Origin | None, prefix: str, inventory: Inventory
    ) -> None:
        """Write below `prefix`, which is empty or ends in a slash; without origin, no records."""
        self._put = self.put = output.put
        self._prefix = prefix.encode("utf-8", "surrogateescape")
        self._records: dict[bytes, bytes] = {}
        if origin is not None:
            # The POSIX record for it: GNU tar warns about unknown records.
            self._records[b"comment"] = f"{origin.location} {origin.source}".strip().encode()
        self._common = _body(self._records)
        self._block = _pax_block(self._records) if origin is not None else b""
        # The headers of extended headers, by the size of their content.
        self._fronts: dict[int, bytes] = {}
        self._note = inventory.note
        self._note_parents = inventory.note_parents
        self._inventory = inventory
        self._ids: dict[tuple[int, int, int], bytes] = {}
        self._tails: dict[tuple[int, bytes], tuple[bytes, int]] = {}
        self._time, self._time_text = 0, b"%011o\0" % 0

    def add(self, name: bytes, reader: TarReader) -> None:
        """Write the reader's current entry with its content."""
        name = self._prefix + name
        kind, size = reader.kind, reader.size
        self._note(name, reader)
        self._note_parents(name, is_directory=kind == DIRECTORY)
        put = self._put
        put(self._head(name, reader))
        if size:
            reader.write_to(put)
            if size & 511:
                put(_PADDING[-size & 511])

    def link(self, name: bytes, target: bytes, reader: TarReader) -> None:
        """Write a hard link to an earlier entry."""
        name = self._prefix + name
        self._inventory.programs.append(name)
        self._note_parents(name, is_directory=False)
        self._put(self._header_of(HARD_LINK, name, self._prefix + target, reader, 0))

    def add_generated(self, entry: GeneratedEntry, size: int) -> None:
        """Write the header of a generated entry; content of `size` bytes follows."""
        name = self._prefix + entry.path.encode("utf-8", "surrogateescape")
        target = entry.target.encode("utf-8", "surrogateescape")
        self._inventory.note_made(name, entry.kind, target)
        self._note_parents(name, is_directory=entry.kind is EntryKind.DIRECTORY)
        self._put(
            self._compose(
                _KINDS[entry.kind],
                name,
                target,
                (entry.mode & 0o7777, entry.uid, entry.gid),
                entry.mtime,
                size,
                dict(self._records),
            )
        )

    def pad(self, size: int) -> None:
        """Pad the last block of content of `size` bytes."""
        self._put(_PADDING[-size & 511])

    def _head(self, name: bytes, reader: TarReader) -> bytes:
        """Compose the headers of a common entry quickly; `_header_of` does the others."""
        kind, size, mtime = reader.kind, reader.size, reader.mtime
        if (
            kind == SYMLINK
            or reader.records
            or reader.mtime_text
            or size > _LARGEST_NUMBER
            or reader.major
            or reader.minor
            or not name.isascii()
        ):
            return self._header_of(kind, name, reader.link, reader, size)
        if mtime != self._time:
            if not 0 <= mtime <= _LARGEST_NUMBER:
                return self._header_of(kind, name, b"", reader, size)
            self._time, self._time_text = mtime, b"%011o\0" % mtime
        try:
            ids = self._ids[reader.mode, reader.uid, reader.gid]
        except KeyError:
            if reader.uid > _LARGEST_ID or reader.gid > _LARGEST_ID:
                return self._header_of(kind, name, b"", reader, size)
            ids = b"%07o\0%07o\0%07o\0" % (reader.mode, reader.uid, reader.gid)
            if len(self._ids) < _MOST_REMEMBERED:
                self._ids[reader.mode, reader.uid, reader.gid] = ids
        try:
            tail, total = self._tails[kind, reader.owner]
        except KeyError:
            tail, total = self._tail(kind, reader.owner)
        if kind == DIRECTORY:
            name += b"/"
        block = self._block
        if len(name) > 100:
            block = self._block_with_path(name)
            name = name[:100]
        front = b"%b%b%011o\0%b" % (name.ljust(100, b"\0"), ids, size, self._time_text)
        # The low half of Adler's sum is the sum of the bytes, plus one: ASCII alone stays below
        # the modulus.
        return b"%b%b%06o\0 %b" % (block, front, total + (adler32(front) & 0xFFFF) - 1, tail)

    def _block_with_path(self, path: bytes) -> bytes:
        """Return the extended header for a path that is too long for the header."""
        # Other records sort before "path".
        body = self._common + _record(b"path", path)
        size = len(body)
        try:
            front = self._fronts[size]
        except KeyError:
            front = self._fronts[size] = _pax_header(size)
        return b"%b%b%b" % (front, body, _PADDING[-size & 511])

    def _tail(self, kind: int, owner: bytes) -> tuple[bytes, int]:
        """Return the header after the checksum, and its part of the checksum."""
        device = b"0000000\0" * 2 if kind in b"34" else bytes(16)
        names = owner if owner.isascii() and len(owner) == 64 else _NO_OWNER
        tail = bytes([kind]) + bytes(100) + _MAGIC + names + device + bytes(167)
        found = tail, 256 + sum(tail)
        if len(self._tails) < _MOST_REMEMBERED:
            self._tails[kind, owner] = found
        return found

    def _header_of(
        self, kind: int, name: bytes, link: bytes, reader: TarReader, size: int
    ) -> bytes:
        records = dict(self._records)
        records.update(reader.records)
        if reader.mtime_text:
            records[b"mtime"] = reader.mtime_text
        device = (reader.major, reader.minor) if kind in b"34" else (0, 0)
        ids = (reader.mode, reader.uid, reader.gid)
        return self._compose(
            kind, name, link, ids, reader.mtime, size, records, reader.owner, device
        )

    def _compose(
        self,
        kind: int,
        name: bytes,
        link: bytes,
        ids: tuple[int, int, int],
        mtime: int,
        size: int,
        records: dict[bytes, bytes],
        owner: bytes = _NO_OWNER,
        device: tuple[int, int] = (0, 0),
    ) -> bytes:
        """Compose the headers of any entry."""
        mode, uid, gid = ids
        if kind == DIRECTORY:
            name += b"/"
        short = _fitting(b"path", name, records)
        short_link = _fitting(b"linkpath", link, records) if link else b""
        uid = _fitting_number(b"uid", uid, _LARGEST_ID, records)
        gid = _fitting_number(b"gid", gid, _LARGEST_ID, records)
        size = _fitting_number(b"size", size, _LARGEST_NUMBER, records)
        if not 0 <= mtime <= _LARGEST_NUMBER and b"mtime" not in records:
            records[b"mtime"] = b"%d" % mtime
        mtime = min(max(mtime, 0), _LARGEST_NUMBER)
        devices = b"%07o\0%07o\0" % device if max(device) <= _LARGEST_ID else bytes(16)
        if max(device) > _LARGEST_ID:
            records[b"SCHILY.devmajor"] = b"%d" % device[0]
            records[b"SCHILY.devminor"] = b"%d" % device[1]
        if kind not in b"34":
            devices = bytes(16)
        front = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (
            short.ljust(100, b"\0"),
            mode,
            uid,
            gid,
            size,
            mtime,
        )
        names = owner if owner.isascii() and len(owner) == 64 else _NO_OWNER
        tail = b"%c%b%b%b%b%b" % (
            kind,
            short_link.ljust(100, b"\0"),
            _MAGIC,
            names,
            devices,
            bytes(167),
        )
        header = b"%b%06o\0 %b" % (front, sum(front) + 256 + sum(tail), tail)
        same = len(records) == len(self._records)
        return (self._block if same else _pax_block(records)) + header


class PlainTarWriter:
    """Write a small archive of generated files, without records."""

    def __init__(self, out: IO[bytes]) -> None:
        """Write to a file or stream; callers write contents to it between `head` and `pad`."""
        self._out = out
        self._encoder = TarEncoder(self, None, "", Inventory())

    def put(self, data: Bytes) -> None:
        """Write a piece of a header."""
        self._out.write(data)

    def finish(self) -> None:
        """Do nothing: everything is written."""

    def head(self, name: str, size: int, mode: int = 0o644) -> None:
        """Write the header of a file; its content follows."""
        self._encoder.add_generated(GeneratedEntry(name, EntryKind.FILE, mode), size)

    def pad(self, size: int) -> None:
        """Pad content of `size` bytes."""
        self._encoder.pad(size)


def global_comment(text: bytes) -> bytes:
    """Return a global header with a comment."""
    body = _record(b"comment", text)
    return _pax_header(len(body), b"g") + body + _PADDING[-len(body) & 511]


def _fitting(key: bytes, text: bytes, records: dict[bytes, bytes]) -> bytes:
    """Return the name for the header; add a record if the header cannot hold it."""
    if len(text) <= 100 and text.isascii():
        return text
    records[key] = text
    return text.decode("ascii", "replace").replace("\ufffd", "_").encode()[:100]


def _fitting_number(key: bytes, value: int, most: int, records: dict[bytes, bytes]) -> int:
    if value <= most:
        return value
    records[key] = b"%d" % value
    return 0


def _pax_block(records: dict[bytes, bytes]) -> bytes:
    """Return the extended header before an entry."""
    body = _body(records)
    return _pax_header(len(body)) + body + _PADDING[-len(body) & 511]


def _body(records: dict[bytes, bytes]) -> bytes:
    return b"".join(_record(k, records[k]) for k in sorted(records))


def _pax_header(size: int, kind: bytes = b"x") -> bytes:
    """Return the header of an extended header with content of this size."""
    name = (b"PaxHeaders.0/entry" if kind == b"x" else b"pax_global_header").ljust(100, b"\0")
    front = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name, 0o644, 0, 0, size, 0)
    tail = kind + bytes(100) + _MAGIC + bytes(247)
    return b"%b%06o\0 %b" % (front, sum(front) + 256 + sum(tail), tail)


def _record(key: bytes, value: bytes) -> bytes:
    size = len(key) + len(value) + 3
    digits = len(str(size))
    # The length includes its own digits, which can add one digit.
    size += len(str(size + digits))
    return b"%d %b=%b\n" % (size, key, value)
