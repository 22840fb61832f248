"""Read the tars of Debian packages as streams.

The formats are ustar, GNU with long names and large numbers, and pax. Paths are normalized; a path
that leaves the root is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 512
_MAX_EXTENSION_SIZE = 1 << 20
_MAX_PATH_LENGTH = 4096
_MAX_FILE_SIZE = 1 << 40
_MAX_ID = (1 << 32) - 2


class TarballError(ValueError):
    """The tar is broken or hostile."""


class TarEntryKind(StrEnum):
    """The type of an entry."""

    FILE = "file"
    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    CHAR = "char"
    BLOCK = "block"
    DIR = "dir"
    FIFO = "fifo"


_KINDS = {
    b"0": TarEntryKind.FILE,
    b"\0": TarEntryKind.FILE,
    b"7": TarEntryKind.FILE,
    b"1": TarEntryKind.HARDLINK,
    b"2": TarEntryKind.SYMLINK,
    b"3": TarEntryKind.CHAR,
    b"4": TarEntryKind.BLOCK,
    b"5": TarEntryKind.DIR,
    b"6": TarEntryKind.FIFO,
}


@dataclass(frozen=True, slots=True)
class DebTarEntry:
    """An entry; `path` has no slash at its ends, and is empty for the root."""

    path: str
    kind: TarEntryKind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    # Normalized like `path` for hard links, unchanged for symbolic links.
    target: str = ""
    major: int = 0
    minor: int = 0

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file; hard links are not."""
        return self.kind is TarEntryKind.FILE


class DebTarReader:
    """Iterates over the entries; `content` yields the content of the current entry."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = memoryview(b"")
        self._remaining = 0
        self._padding = 0

    def __iter__(self) -> Iterator[DebTarEntry]:
        extra: dict[str, str] = {}
        while True:
            for _ in self.content():
                pass
            self._read_exactly(self._padding)
            self._padding = 0
            header = self._read_exactly(_BLOCK)
            if not header.strip(b"\0"):
                return
            _verify_checksum(header)
            size = _parse_number(header[124:136])
            kind = header[156:157]
            if kind in b"LKxg":
                extension = self._read_extension(size)
                if kind == b"x":
                    extra |= _parse_pax_records(extension)
                elif kind != b"g":
                    name = _decode(extension.split(b"\0", 1)[0])
                    extra["path" if kind == b"L" else "linkpath"] = name
                continue
            entry = _parse_entry(header, size, extra)
            extra = {}
            self._remaining = entry.size
            self._padding = -entry.size % _BLOCK
            yield entry

    def content(self) -> Iterator[memoryview]:
        """Yield the rest of the current entry's content."""
        while self._remaining:
            piece = self._read_at_most(self._remaining)
            self._remaining -= len(piece)
            yield piece

    def _read_extension(self, size: int) -> bytes:
        if size > _MAX_EXTENSION_SIZE:
            raise TarballError("a name or record in the tar is too long")
        data = self._read_exactly(size)
        self._read_exactly(-size % _BLOCK)
        return data

    def _read_at_most(self, max_size: int) -> memoryview:
        while not self._buffer:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise TarballError("the tar is truncated")
            self._buffer = memoryview(chunk)
        piece, self._buffer = self._buffer[:max_size], self._buffer[max_size:]
        return piece

    def _read_exactly(self, size: int) -> bytes:
        if len(self._buffer) >= size:
            piece, self._buffer = self._buffer[:size], self._buffer[size:]
            return bytes(piece)
        pieces = []
        while size:
            pieces.append(bytes(self._read_at_most(size)))
            size -= len(pieces[-1])
        return b"".join(pieces)


def _parse_entry(header: bytes, size: int, extra: dict[str, str]) -> DebTarEntry:
    kind = _KINDS.get(header[156:157])
    name = _parse_string(header[0:100])
    if header[257:263] == b"ustar\0" and header[345] and "path" not in extra:
        name = f"{_parse_string(header[345:500])}/{name}"
    name = extra.get("path", name)
    if kind is None:
        raise TarballError(f"{name[:100]!r} is of an unknown kind {header[156:157]!r}")
    if kind is TarEntryKind.FILE and name.endswith("/"):
        kind = TarEntryKind.DIR
    if "size" in extra:
        size = _parse_decimal(extra["size"])
    target = extra.get("linkpath", _parse_string(header[157:257]))
    if kind is TarEntryKind.HARDLINK:
        target = normalize_path(target)
    if kind in (TarEntryKind.SYMLINK, TarEntryKind.HARDLINK) and not target:
        raise TarballError(f"the link {name[:100]!r} has no target")
    uid = _parse_decimal(extra["uid"]) if "uid" in extra else _parse_number(header[108:116])
    gid = _parse_decimal(extra["gid"]) if "gid" in extra else _parse_number(header[116:124])
    if not (0 <= uid <= _MAX_ID and 0 <= gid <= _MAX_ID):
        raise TarballError(f"{name[:100]!r} has an invalid owner")
    has_content = kind is TarEntryKind.FILE
    if not 0 <= size <= _MAX_FILE_SIZE:
        raise TarballError(f"{name[:100]!r} has an invalid size")
    if "mtime" in extra:
        mtime = _parse_decimal(extra["mtime"].partition(".")[0])
    else:
        mtime = _parse_number(header[136:148])
    return DebTarEntry(
        path=normalize_path(name),
        kind=kind,
        mode=_parse_number(header[100:108]) & 0o7777,
        uid=uid,
        gid=gid,
        mtime=max(0, min(mtime, (1 << 33) - 1)),
        size=size if has_content else 0,
        target=target,
        major=_parse_number(header[329:337])
        if kind in (TarEntryKind.CHAR, TarEntryKind.BLOCK)
        else 0,
        minor=_parse_number(header[337:345])
        if kind in (TarEntryKind.CHAR, TarEntryKind.BLOCK)
        else 0,
    )


def normalize_path(path: str) -> str:
    """Return the path relative to the root, without `.`; raise TarballError for `..`."""
    if len(path) > _MAX_PATH_LENGTH or "\0" in path:
        raise TarballError(f"an invalid path: {path[:100]!r}")
    parts = [p for p in path.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise TarballError(f"a path outside the root: {path[:100]!r}")
    return "/".join(parts)


def _verify_checksum(header: bytes) -> None:
    expected = _parse_number(header[148:156])
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != expected:
        raise TarballError("the checksum of a header in the tar is wrong")


def _parse_number(field: bytes) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F, *field[1:]]), "big")
        if field[0] == 0xFF:
            return value - (1 << (8 * len(field) - 1))
        return value
    text = field.split(b"\0", 1)[0].strip()
    if not text:
        return 0
    if text.strip(b"01234567"):
        raise TarballError(f"not a number in the tar: {bytes(field)!r}")
    return int(text, 8)


def _parse_decimal(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise TarballError(f"not a number in the tar: {text[:40]!r}")
    return int(text)


def _parse_string(field: bytes) -> str:
    return _decode(field.split(b"\0", 1)[0])


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TarballError(f"a name in the tar is not UTF-8: {data[:100]!r}") from error


def _parse_pax_records(data: bytes) -> dict[str, str]:
    records = {}
    while data:
        length, space, _ = data.partition(b" ")
        if not space or not length.isdigit() or len(length) > 8:
            raise TarballError("a pax record is broken")
        size = int(length)
        record = data[len(length) + 1 : size]
        if not len(length) + 2 < size <= len(data) or not record.endswith(b"\n"):
            raise TarballError("a pax record is broken")
        key, _, value = record[:-1].partition(b"=")
        if key in (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"):
            records[key.decode()] = _decode(value)
        data = data[size:]
    return records
