"""The segment cache: encoded parts of images, kept from build to build.

A segment is a file in the store's directory `segments`. Its name is the hash of everything that its
bytes depend on. It is written under a temporary name and renamed, so it is complete or absent.

    data        the bytes that outputs contain
    extra       captured contents (see `captured`)
    inventory   packed; see `assembler.encode.inventory`
    details     JSON
    footer      40 bytes: magic, sizes of the four above, CRC-32 of extra to details

The modification time is the time of the last use. Its fraction of a second is derived from the
CRC-32 of the data: any other write, and a truncated file, leave another time or size. Then, and
when a copy of the cache lost the fractions, the checksum is computed before the segment is used; a
damaged segment is removed and made again. Several processes may write, use and remove segments at
any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from isal import isal_zlib

from assembler.content import FileRange
from assembler.encode.inventory import Inventory
from assembler.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

# Increase it when the file format changes.
_FORM = 1
_MAGIC = b"dolmseg1"
_FOOTER = struct.Struct("<8sQQIII4x")
_BILLION = 1_000_000_000
# Temporary files of killed writers are removed after this many seconds.
_STALE = 3600
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment; its data are the first `size` bytes of the file."""

    file: IO[bytes]
    size: int
    details: Mapping[str, Any]
    inventory_range: tuple[int, int]

    def inventory(self) -> Inventory:
        """Read the inventory."""
        size, offset = self.inventory_range
        return Inventory.unpack(os.pread(self.file.fileno(), size, offset))

    def captured(self, name: str) -> bytes | None:
        """Return the captured content of a path, or None."""
        found = self.details["captured"].get(name)
        if found is None:
            return None
        size, offset = found
        return os.pread(self.file.fileno(), size, offset)

    def data(self) -> FileRange:
        """Return the data for outputs."""
        return FileRange(self.file.fileno(), self.size, crc32=int(self.details["crc32"]))

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@dataclass(slots=True)
class SegmentWriter:
    """A segment that is being written."""

    file: IO[bytes]
    inventory: Inventory = field(default_factory=Inventory)
    captured: dict[str, bytes] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def restart(self) -> None:
        """Discard everything written; encoders write to the descriptor, past Python's buffer."""
        os.lseek(self.file.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self.file.fileno(), 0)
        self.inventory.clear()
        self.captured.clear()


def segment_key(**parts: object) -> str:
    """Return the name of a segment: a hash of everything that its bytes depend on."""
    text = json.dumps({"form": _FORM, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SegmentCache:
    """The segments below one directory."""

    directory: Path

    @property
    def writable(self) -> bool:
        """Tell whether segments can be added; create the directory if possible."""
        with suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
        return os.access(self.directory, os.W_OK | os.X_OK)

    def path(self, name: str) -> Path:
        """Return the path of a segment."""
        return self.directory / name

    def open(self, name: str) -> Segment | None:
        """Open a segment if it is complete, and record its use; else return None."""
        path = self.path(name)
        try:
            file = path.open("rb", buffering=0)
        except OSError:
            return None
        try:
            segment = self._read(file, path)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            segment = None
        if segment is None:
            file.close()
            with suppress(OSError):
                path.unlink()
        return segment

    def _read(self, file: IO[bytes], path: Path) -> Segment | None:
        handle = file.fileno()
        status = os.fstat(handle)
        footer = os.pread(handle, _FOOTER.size, max(status.st_size - _FOOTER.size, 0))
        magic, size, extra, packed, details_size, crc = _FOOTER.unpack(footer)
        whole = size + extra + packed + details_size + _FOOTER.size
        if magic != _MAGIC or whole != status.st_size:
            return None
        tail = os.pread(handle, extra + packed + details_size, size)
        if _crc32(tail) != crc:
            return None
        details = json.loads(tail[extra + packed :])
        checksum = int(details["crc32"])
        if status.st_mtime_ns % _BILLION != checksum % _BILLION and checksum != _crc_of(
            handle, size
        ):
            return None
        with suppress(OSError):
            _mark(path, checksum)
        return Segment(file, size, details, (packed, size + extra))

    @contextmanager
    def create(self, name: str) -> Iterator[SegmentWriter]:
        """Yield a writer whose output becomes the segment if the block succeeds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not synced: after a power cut its size or time is wrong, and it is made again.
        with atomic_write(self.path(name), durable=False) as file:
            segment = SegmentWriter(file)
            yield segment
            file.flush()
            checksum = self._write_footer(segment)
            handle = os.dup(file.fileno())
        try:
            _mark(handle, checksum)
        finally:
            os.close(handle)

    def _write_footer(self, segment: SegmentWriter) -> int:
        handle = segment.file.fileno()
        size = os.fstat(handle).st_size
        checksum = segment.details.pop("crc32", None)
        if checksum is None:
            checksum = _crc_of(handle, size)
        offset, places = size, {}
        for name, content in segment.captured.items():
            places[name] = (len(content), offset)
            offset += len(content)
        extra = b"".join(segment.captured.values())
        packed = segment.inventory.pack()
        details = json.dumps(
            {**segment.details, "crc32": checksum, "captured": places}, sort_keys=True
        ).encode()
        tail = extra + packed + details
        footer = _FOOTER.pack(_MAGIC, size, len(extra), len(packed), len(details), _crc32(tail))
        os.pwrite(handle, tail + footer, size)
        return int(checksum)

    def sweep(self) -> None:
        """Remove old temporary files of killed writers."""
        old = time.time() - _STALE
        with suppress(OSError):
            for path in self.directory.glob(".*.part"):
                with suppress(OSError):
                    if path.stat().st_mtime < old:
                        path.unlink()


def _mark(target: Path | int, checksum: int) -> None:
    """Set the time of last use; its fraction marks the checksum."""
    now = int(time.time()) * _BILLION + checksum % _BILLION
    os.utime(target, ns=(now, now))


def _crc32(data: bytes, start: int = 0) -> int:
    checksum: int = isal_zlib.crc32(data, start)
    return checksum


def _crc_of(handle: int, size: int) -> int:
    checksum, at = 0, 0
    while at < size:
        data = os.pread(handle, min(_WINDOW, size - at), at)
        if not data:
            break
        checksum = _crc32(data, checksum)
        at += len(data)
    return checksum
