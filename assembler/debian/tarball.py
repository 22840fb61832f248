"""A tar as packages have it, read once from front to end out of chunks of bytes.

Understood are ustar, GNU's long names and large numbers, and pax records. A path is a normal one
below the root, or the tar is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

_BLOCK = 512
_LARGEST_EXTENSION = 1 << 20
_LONGEST_PATH = 4096
_LARGEST_FILE = 1 << 40
_HIGHEST_ID = (1 << 32) - 2


class TarballError(ValueError):
    """The tar is broken or hostile."""


class TarEntryKind(StrEnum):
    """What an entry is."""

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
    """One entry; `path` has no slash at its ends, the root itself is an empty text."""

    path: str
    kind: TarEntryKind
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    # Of a hard link normal like `path`, of a symbolic one as it is.
    target: str = ""
    major: int = 0
    minor: int = 0

    @property
    def is_file(self) -> bool:
        """Tell whether it is a regular file with content of its own."""
        return self.kind is TarEntryKind.FILE


class TarReaderOfDeb:
    """Iterates over the entries; `content` gives that of the entry just seen."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[DebTarEntry]:
        extra: dict[str, str] = {}
        while True:
            for _ in self.content():
                pass
            self._exactly(self._padding)
            self._padding = 0
            header = self._exactly(_BLOCK)
            if not header.strip(b"\0"):
                return
            _check_sum(header)
            size = _number(header[124:136])
            kind = header[156:157]
            if kind in b"LKxg":
                extension = self._extension(size)
                if kind == b"x":
                    extra |= _pax(extension)
                elif kind != b"g":
                    name = _text(extension.split(b"\0", 1)[0])
                    extra["path" if kind == b"L" else "linkpath"] = name
                continue
            entry = _entry(header, size, extra)
            extra = {}
            self._left = entry.size
            self._padding = -entry.size % _BLOCK
            yield entry

    def content(self) -> Iterator[memoryview]:
        """Yield what is left of the current entry's content."""
        while self._left:
            piece = self._some(self._left)
            self._left -= len(piece)
            yield piece

    def _extension(self, size: int) -> bytes:
        if size > _LARGEST_EXTENSION:
            raise TarballError("a name or record in the tar is too long")
        data = self._exactly(size)
        self._exactly(-size % _BLOCK)
        return data

    def _some(self, most: int) -> memoryview:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise TarballError("the tar is cut off")
            self._rest = memoryview(chunk)
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece

    def _exactly(self, size: int) -> bytes:
        if len(self._rest) >= size:
            piece, self._rest = self._rest[:size], self._rest[size:]
            return bytes(piece)
        pieces = []
        while size:
            pieces.append(bytes(self._some(size)))
            size -= len(pieces[-1])
        return b"".join(pieces)


def _entry(header: bytes, size: int, extra: dict[str, str]) -> DebTarEntry:
    kind = _KINDS.get(header[156:157])
    name = _field(header[0:100])
    if header[257:263] == b"ustar\0" and header[345] and "path" not in extra:
        name = f"{_field(header[345:500])}/{name}"
    name = extra.get("path", name)
    if kind is None:
        raise TarballError(f"{name[:100]!r} is of an unknown kind {header[156:157]!r}")
    if kind is TarEntryKind.FILE and name.endswith("/"):
        kind = TarEntryKind.DIR
    if "size" in extra:
        size = _decimal(extra["size"])
    target = extra.get("linkpath", _field(header[157:257]))
    if kind is TarEntryKind.HARDLINK:
        target = normalize_path(target)
    if kind in (TarEntryKind.SYMLINK, TarEntryKind.HARDLINK) and not target:
        raise TarballError(f"the link {name[:100]!r} leads nowhere")
    uid = _decimal(extra["uid"]) if "uid" in extra else _number(header[108:116])
    gid = _decimal(extra["gid"]) if "gid" in extra else _number(header[116:124])
    if not (0 <= uid <= _HIGHEST_ID and 0 <= gid <= _HIGHEST_ID):
        raise TarballError(f"{name[:100]!r} has an impossible owner")
    has_content = kind is TarEntryKind.FILE
    if not 0 <= size <= _LARGEST_FILE:
        raise TarballError(f"{name[:100]!r} has an impossible size")
    if "mtime" in extra:
        mtime = _decimal(extra["mtime"].partition(".")[0])
    else:
        mtime = _number(header[136:148])
    return DebTarEntry(
        path=normalize_path(name),
        kind=kind,
        mode=_number(header[100:108]) & 0o7777,
        uid=uid,
        gid=gid,
        mtime=max(0, min(mtime, (1 << 33) - 1)),
        size=size if has_content else 0,
        target=target,
        major=_number(header[329:337]) if kind in (TarEntryKind.CHAR, TarEntryKind.BLOCK) else 0,
        minor=_number(header[337:345]) if kind in (TarEntryKind.CHAR, TarEntryKind.BLOCK) else 0,
    )


def normalize_path(path: str) -> str:
    """Return the path below the root without dots; one that leaves the root is refused."""
    if len(path) > _LONGEST_PATH or "\0" in path:
        raise TarballError(f"an impossible path: {path[:100]!r}")
    parts = [p for p in path.split("/") if p not in ("", ".")]
    if ".." in parts:
        raise TarballError(f"a path that leaves its package: {path[:100]!r}")
    return "/".join(parts)


def _check_sum(header: bytes) -> None:
    expected = _number(header[148:156])
    if sum(header) - sum(header[148:156]) + 8 * 0x20 != expected:
        raise TarballError("the checksum of a header in the tar is wrong")


def _number(field: bytes) -> int:
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


def _decimal(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
        raise TarballError(f"not a number in the tar: {text[:40]!r}")
    return int(text)


def _field(field: bytes) -> str:
    return _text(field.split(b"\0", 1)[0])


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise TarballError(f"a name in the tar is not UTF-8: {data[:100]!r}") from error


def _pax(data: bytes) -> dict[str, str]:
    found = {}
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
            found[key.decode()] = _text(value)
        data = data[size:]
    return found
