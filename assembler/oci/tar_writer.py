"""Writing tar archives: reproducible ustar headers with pax records where needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

BLOCK_SIZE = 512
TAR_END = bytes(2 * BLOCK_SIZE)
_FILE, _PAX = b"0", b"x"
_LARGEST_ID = 0o7777777
_LARGEST = 0o77777777777


@dataclass(frozen=True, slots=True)
class TarHeader:
    """The header of an entry; a name or number too large for ustar goes into a pax record."""

    name: bytes
    kind: bytes = _FILE
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    # The exact time, if it has a fraction.
    mtime_text: bytes = b""
    link: bytes = b""
    major: int = 0
    minor: int = 0
    records: Mapping[bytes, bytes] = field(default_factory=dict)

    def blocks(self) -> bytes:
        """Return the blocks before the content."""
        records = dict(self.records)
        if len(self.name) > 100:
            records[b"path"] = self.name
        if len(self.link) > 100:
            records[b"linkpath"] = self.link
        for key, value, most in (
            (b"uid", self.uid, _LARGEST_ID),
            (b"gid", self.gid, _LARGEST_ID),
            (b"size", self.size, _LARGEST),
        ):
            if value > most:
                records[key] = b"%d" % value
        if self.mtime_text or not 0 <= self.mtime <= _LARGEST:
            records[b"mtime"] = self.mtime_text or b"%d" % self.mtime
        extended = b""
        if records:
            body = b"".join(_record(k, v) for k, v in sorted(records.items()))
            name = b"PaxHeaders/" + self.name.rstrip(b"/").rpartition(b"/")[2][:80]
            extended = TarHeader(name, _PAX, size=len(body)).ustar() + body + tar_padding(len(body))
        return extended + self.ustar()

    def ustar(self) -> bytes:
        """Return the ustar header; numbers that do not fit are zero."""
        numbers = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
            self.mode,
            self.uid if self.uid <= _LARGEST_ID else 0,
            self.gid if self.gid <= _LARGEST_ID else 0,
            self.size if self.size <= _LARGEST else 0,
            self.mtime if 0 <= self.mtime <= _LARGEST else 0,
        )
        # On Linux only hostile archives have device numbers beyond seven digits.
        device = b"%07o\0%07o\0" % (self.major & _LARGEST_ID, self.minor & _LARGEST_ID)
        head = self.name[:100].ljust(100, b"\0") + numbers
        tail = self.kind + self.link[:100].ljust(100, b"\0") + b"ustar\x0000" + bytes(64) + device
        block = (head + b" " * 8 + tail).ljust(BLOCK_SIZE, b"\0")
        return head + b"%06o\0 " % sum(block) + block[156:]


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file to write into an archive; its content is read lazily."""

    path: str
    size: int
    chunks: Iterable[bytes]


def write_tar(members: Iterable[TarMember], out: IO[bytes]) -> Iterator[int]:
    """Write a tar of regular files, and yield the size of each after it is written."""
    for member in members:
        out.write(TarHeader(member.path.encode(), size=member.size).blocks())
        for chunk in member.chunks:
            out.write(chunk)
        out.write(tar_padding(member.size))
        yield member.size
    out.write(TAR_END)


def tar_padding(size: int) -> bytes:
    """Return the zeros between content of this size and the next header."""
    return bytes(-size % BLOCK_SIZE)


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %s=%s\n" % (length, key, value)
