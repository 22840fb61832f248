"""A reader of tar archives: ustar, pax, GNU long names and sparse files, base-256 numbers.

The reader is made for layers of ten thousands of entries: it is one object whose attributes change
from entry to entry, numbers that repeat are looked up, and content passes in slices of the chunks
it came in. It is strict: checksums, numbers, lengths and the end of the archive are verified.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from assembler.oci.layers import sparse_maps, tar_fields
from assembler.oci.layers.tar_entry_types import (
    DIRECTORY,
    ENTRY_TYPES,
    FILE,
    GNU_SPARSE,
    HARD_LINK,
    SYMLINK,
)
from assembler.oci.layers.tar_fields import MalformedTarError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.oci.layers.sparse_maps import ContentSink, SparseMap

_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK = b"xgLK"
_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_LARGEST_HEADER = 1 << 20
_NO_RECORDS: dict[bytes, bytes] = {}
# Applied by the reader, and so not in `records`; a comment is about the archive.
_APPLIED = (b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime", b"comment")
# Slices shorter than this are copied, so that they do not keep a whole chunk alive.
_WORTH_A_VIEW = 64 << 10
_MOST_REMEMBERED = 4096


class TarReader:
    """The current entry of an archive; `next` moves to the next one.

    name, link      as in the archive, not normalized
    kind            one of the types in `tar_entry_types`
    mtime           whole seconds; `mtime_text` is the exact time if it has a fraction
    owner           64 bytes of a ustar header: the names of user and group
    records         pax records that the reader does not apply, such as extended attributes
    pax             all pax records of the entry, or None
    common          the records of the last global header, unparsed; `common_end` is where it ends
    """

    __slots__ = (
        "_before",
        "_buffer",
        "_chunks",
        "_end",
        "_ids",
        "_left",
        "_owners",
        "_pieces",
        "_position",
        "_room",
        "_time_field",
        "_time_value",
        "common",
        "common_end",
        "count",
        "gid",
        "kind",
        "link",
        "major",
        "minor",
        "mode",
        "mtime",
        "mtime_text",
        "name",
        "owner",
        "pax",
        "records",
        "size",
        "uid",
    )

    def __init__(self, chunks: Iterable[bytes], room: int = 1 << 40) -> None:
        """Read the archive in the chunks; `room` limits the size of sparse files."""
        self._room = room
        self._chunks = iter(chunks)
        self._buffer = b""
        # The size of all earlier chunks.
        self._before = 0
        self._position = self._end = 0
        # Unread bytes of the entry's content, with padding.
        self._left = 0
        self._pieces: SparseMap | None = None
        self._ids: dict[bytes, tuple[int, int, int]] = {}
        self._owners: dict[bytes, tuple[bool, bytes, int, int]] = {}
        self._time_field, self._time_value = b"", 0
        self.count = 0
        self.name = self.link = self.mtime_text = self.owner = b""
        self.kind = self.mode = self.uid = self.gid = self.size = self.mtime = 0
        self.major = self.minor = 0
        self.records = _NO_RECORDS
        self.pax: dict[bytes, bytes] | None = None
        self.common = b""
        self.common_end = 0

    @property
    def offset(self) -> int:
        """Return the offset of the next entry, with its extended headers."""
        return self._before + self._position + self._left

    def next(self) -> bool:
        """Move to the next entry, skipping unread content; False at the end."""
        if self._left:
            self._skip(self._left)
        self._pieces = None
        pax = name = link = None
        while True:
            position = self._position
            if position + _BLOCK <= self._end:
                h = self._buffer[position : position + _BLOCK]
                self._position = position + _BLOCK
            elif position == self._end and not self._refill():
                h = _ZEROS  # many writers leave out the final blocks of zeros
            else:
                h = self._take(_BLOCK)
            if h == _ZEROS:
                if pax or name or link:
                    raise MalformedTarError(
                        "the archive ends between an extended header and its entry"
                    )
                self._finish()
                return False
            if not tar_fields.has_valid_checksum(h):
                self.name = h[:100].split(b"\0", 1)[0]
                raise MalformedTarError("the checksum of its header is wrong")
            kind = h[156]
            if kind == _PAX:
                pax = tar_fields.parse_pax_records(self._extension(h))
            elif kind == _LONG_NAME:
                name = self._extension(h).rstrip(b"\0")
            elif kind == _LONG_LINK:
                link = self._extension(h).rstrip(b"\0")
            elif kind == _PAX_GLOBAL:
                # Tools write comments there; no tool applies anything else to a layer.
                self.common = self._extension(h)
                self.common_end = self._before + self._position
            else:
                break
        self.count += 1
        self.pax = pax
        if pax is None:
            self._entry(h, kind, name, link)
        else:
            self._entry(h, kind, pax.get(b"path", name), pax.get(b"linkpath", link))
            self._apply(pax)
        if kind == GNU_SPARSE:
            pieces = sparse_maps.read_gnu_sparse_map(h, self._take)
            self._set_holes(pieces, tar_fields.parse_size(h[483:495]))
        return True

    def _entry(self, h: bytes, kind: int, name: bytes | None, link: bytes | None) -> None:
        """Parse the header itself."""
        if name is None:
            end = h.find(b"\0", 0, 100)
            self.name = h[:100] if end < 0 else h[:end]
        else:
            self.name = name
        try:
            self.mode, self.uid, self.gid = self._ids[h[100:124]]
        except KeyError:
            self._new_ids(h)
        try:
            posix, self.owner, self.major, self.minor = self._owners[h[257:345]]
        except KeyError:
            posix = self._new_owner(h)
        if posix and name is None and h[345]:
            self.name = h[345:500].split(b"\0", 1)[0] + b"/" + self.name
        field = h[136:148]
        if field != self._time_field:
            self._time_value = tar_fields.parse_number(field, "time")
            self._time_field = field
        self.mtime, self.mtime_text = self._time_value, b""
        self.records = _NO_RECORDS
        digits = h[124:135]
        if digits.isdigit() and not h[135] and b"8" not in digits and b"9" not in digits:
            size = int(digits, 8)
        else:
            size = tar_fields.parse_size(h[124:136])
        known = ENTRY_TYPES.get(kind)
        if known is None:
            raise MalformedTarError(f"it is of the unknown type {bytes([kind])!r}")
        if known == FILE and self.name[-1:] == b"/":
            known = DIRECTORY  # as archives older than ustar have it
        self.kind = known
        self.link = b""
        if known in (HARD_LINK, SYMLINK):
            self.link = h[157:257].split(b"\0", 1)[0] if link is None else link
        if known != FILE:
            # Some writers give links the size of the file, without its content.
            self.size = self._left = 0
        else:
            self.size = size
            self._left = (size + 511) & ~511

    def _new_ids(self, h: bytes) -> None:
        mode = tar_fields.parse_number(h[100:108], "mode") & 0o7777
        uid = tar_fields.parse_number(h[108:116], "user id")
        gid = tar_fields.parse_number(h[116:124], "group id")
        if not (0 <= uid < 1 << 32 and 0 <= gid < 1 << 32):
            raise MalformedTarError(f"its owner is {uid}:{gid}")
        self.mode, self.uid, self.gid = mode, uid, gid
        if len(self._ids) < _MOST_REMEMBERED:
            self._ids[h[100:124]] = mode, uid, gid

    def _new_owner(self, h: bytes) -> bool:
        field = h[257:345]
        posix = field[:6] == b"ustar\0"
        names = field[8:72] if posix or field[:6] == b"ustar " else bytes(64)
        major = minor = 0
        if h[156] in b"34":
            major = tar_fields.parse_number(h[329:337], "device number")
            minor = tar_fields.parse_number(h[337:345], "device number")
            if not (0 <= major < 1 << 32 and 0 <= minor < 1 << 32):
                raise MalformedTarError(f"its device number is {major}:{minor}")
        self.owner, self.major, self.minor = names, major, minor
        # Only devices have device numbers.
        if h[156] not in b"34" and len(self._owners) < _MOST_REMEMBERED:
            self._owners[field] = posix, names, 0, 0
        return posix

    def _apply(self, pax: dict[bytes, bytes]) -> None:
        """Apply pax records, which override the header."""
        get = pax.get
        if (value := get(b"size")) is not None and self.kind == FILE:
            self.size = tar_fields.parse_decimal(value, "size")
            self._left = (self.size + 511) & ~511
        if value := get(b"uid"):
            self.uid = tar_fields.parse_id(value, "user id")
        if value := get(b"gid"):
            self.gid = tar_fields.parse_id(value, "group id")
        if value := get(b"mtime"):
            self.mtime, self.mtime_text = tar_fields.parse_pax_time(value)
        sparse = any(key.startswith(b"GNU.sparse.") for key in pax)
        if sparse and self.kind == FILE:
            self._pax_sparse(pax)
        self.records = {
            k: v
            for k, v in pax.items()
            if k not in _APPLIED and v and not k.startswith((b"GNU.sparse.", b"LINUXKIT."))
        }

    def _pax_sparse(self, pax: dict[bytes, bytes]) -> None:
        self.name = pax.get(b"GNU.sparse.name", self.name)
        size = pax.get(b"GNU.sparse.realsize", pax.get(b"GNU.sparse.size"))
        if size is None:
            raise MalformedTarError("its pax header has holes, but no size")
        if pax.get(b"GNU.sparse.major") == b"1":
            pieces, length = sparse_maps.read_leading_sparse_map(self.size, self._take)
            self.size -= length
            self._left -= length
        else:
            pieces = sparse_maps.parse_pax_sparse_map(pax.get(b"GNU.sparse.map", b""))
        self._set_holes(pieces, tar_fields.parse_decimal(size, "size"))

    def _set_holes(self, pieces: SparseMap, size: int) -> None:
        self._pieces = sparse_maps.check_sparse_map(pieces, size, self.size)
        self._room -= size
        if self._room < 0:
            raise MalformedTarError(
                f"its holes make {size} bytes of it, and it grows beyond all bounds"
            )
        self.size = size

    # Content

    def write_to(self, put: ContentSink) -> None:
        """Write the whole content to `put`, holes as zeros."""
        if self._pieces is not None:
            self._expand(put)
            return
        size, position = self.size, self._position
        self._left -= size
        if position + size <= self._end:
            self._position = position + size
            if size < _WORTH_A_VIEW:
                put(self._buffer[position : position + size])
            else:
                put(memoryview(self._buffer)[position : position + size])
        else:
            self._hand_over(size, put)

    def read(self, most: int) -> bytes:
        """Return the whole content of a small file."""
        if self.size > most:
            raise MalformedTarError(f"it is {self.size} bytes long; the limit is {most}")
        parts: list[bytes | memoryview] = []
        self.write_to(parts.append)
        return b"".join(parts)

    def chunks(self) -> Iterator[bytes]:
        """Yield the whole content; the reader must not be used otherwise meanwhile."""
        if self._pieces is not None:
            raise MalformedTarError("it has holes where an archive is expected")
        size = self.size
        while size:
            if self._position == self._end:
                self._read_more()
            part = min(size, self._end - self._position)
            self._position += part
            self._left -= part
            size -= part
            yield self._buffer[self._position - part : self._position]

    def _expand(self, put: ContentSink) -> None:
        at = 0
        for offset, length in self._pieces or ():
            sparse_maps.put_zeros(offset - at, put)
            self._hand_over(length, put)
            self._left -= length
            at = offset + length
        sparse_maps.put_zeros(self.size - at, put)

    def _hand_over(self, size: int, put: ContentSink) -> None:
        while size:
            if self._position == self._end:
                self._read_more()
            position = self._position
            part = min(size, self._end - position)
            self._position = position + part
            size -= part
            if part < _WORTH_A_VIEW:
                put(self._buffer[position : position + part])
            else:
                put(memoryview(self._buffer)[position : position + part])

    # The stream

    def _refill(self) -> bool:
        """Move to the next chunk; False at the end of the stream."""
        for chunk in self._chunks:
            if chunk:
                self._before += self._end
                self._buffer, self._position, self._end = chunk, 0, len(chunk)
                return True
        return False

    def _read_more(self) -> None:
        if not self._refill():
            raise MalformedTarError("the archive is cut off")

    def _take(self, size: int) -> bytes:
        """Return the next bytes, possibly from several chunks."""
        parts: list[bytes] = []
        while size:
            if self._position == self._end:
                self._read_more()
            part = self._buffer[self._position : self._position + size]
            self._position += len(part)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def _skip(self, size: int) -> None:
        self._left = 0
        while size:
            if self._position == self._end:
                self._read_more()
            part = min(size, self._end - self._position)
            self._position += part
            size -= part

    def _extension(self, h: bytes) -> bytes:
        """Return the content of an extended header."""
        size = tar_fields.parse_size(h[124:136])
        if size > _LARGEST_HEADER:
            raise MalformedTarError(f"it has an extended header of {size} bytes")
        data = self._take((size + 511) & ~511)
        return data[:size]

    def _finish(self) -> None:
        """Raise unless only zeros follow and the stream itself is intact."""
        rest = self._buffer[self._position : self._end]
        self._position = self._end
        while True:
            if rest.strip(b"\0"):
                raise MalformedTarError("there is data after the end of the archive")
            following = next(self._chunks, None)
            if following is None:
                return
            rest = following


def read_entries(chunks: Iterable[bytes]) -> Iterator[TarReader]:
    """Yield the same reader once for each entry of an archive."""
    reader: Any = TarReader(chunks)
    while reader.next():
        yield reader
