"""The segment cache: parts of images as they stand in outputs, kept from build to build.

A segment is one file in the store's directory `segments`, named by the hash of everything that its
bytes depend on. It is written under another name and renamed, so it is whole or not there.

    data        as it goes into outputs
    extra       contents that were picked up on the way (see `captured`)
    inventory   packed; see `assembler.encode.inventory`
    details     JSON
    footer      40 bytes: magic, sizes of the four above, CRC-32 of extra to details

The modification time is the time of the last use. Its fraction of a second is made of the CRC-32
of the data: a write by anyone else, or a disk that was filled or cut short, leaves another time
or size. Then (or when a copy of the cache lost the fractions) the checksum is computed before the
segment is believed, and what is wrong is removed and made again. Several processes may write, use
and remove segments at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from isal import isal_zlib

from assembler.content import FileRange
from assembler.encode.inventory import Inventory
from assembler.files import atomic_write

# Counted up when the form of the file changes.
_FORM = 1
_MAGIC = b"dolmseg1"
_FOOTER = struct.Struct("<8sQQIII4x")
_BILLION = 1_000_000_000
# What a writer that was killed leaves behind is removed when it was not written to for so long.
_STALE = 3600
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is there, open for reading; its data are the first `size` bytes."""

    file: IO[bytes]
    size: int
    details: Mapping[str, Any]
    inventory_at: tuple[int, int]

    def inventory(self) -> Inventory:
        """Read what it holds."""
        size, offset = self.inventory_at
        return Inventory.unpack(os.pread(self.file.fileno(), size, offset))

    def captured(self, name: str) -> bytes | None:
        """Return a content that was picked up, or nothing if there was none of this name."""
        found = self.details["captured"].get(name)
        if found is None:
            return None
        size, offset = found
        return os.pread(self.file.fileno(), size, offset)

    def data(self) -> FileRange:
        """Return what goes into outputs."""
        return FileRange(self.file.fileno(), self.size, crc32=int(self.details["crc32"]))

    def close(self) -> None:
        """Let go of the file."""
        self.file.close()


@dataclass(slots=True)
class SegmentWriter:
    """A segment being written."""

    file: IO[bytes]
    inventory: Inventory = field(default_factory=Inventory)
    captured: dict[str, bytes] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def restart(self) -> None:
        """Throw away what was written; encoders write to the descriptor, past Python's buffer."""
        os.lseek(self.file.fileno(), 0, os.SEEK_SET)
        os.ftruncate(self.file.fileno(), 0)
        self.inventory.clear()
        self.captured.clear()


def key(**parts: object) -> str:
    """Return the name of a segment: a hash of everything that its bytes depend on."""
    text = json.dumps({"form": _FORM, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class SegmentCache:
    """The segments below one directory."""

    directory: Path

    @property
    def writable(self) -> bool:
        """Tell whether segments can be added; the directory is made if it can be."""
        with suppress(OSError):
            self.directory.mkdir(parents=True, exist_ok=True)
        return os.access(self.directory, os.W_OK | os.X_OK)

    def path(self, name: str) -> Path:
        """Return where a segment is, or would be."""
        return self.directory / name

    def open(self, name: str) -> Segment | None:
        """Open a segment if it is there and whole; leave a trace of its use."""
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
    def writing(self, name: str) -> Iterator[SegmentWriter]:
        """Give a draft that becomes the segment when the block ends well."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not synced: after a power cut the size or the time are wrong, and it is made again.
        with atomic_write(self.path(name), durable=False) as file:
            draft = SegmentWriter(file)
            yield draft
            file.flush()
            checksum = self._end(draft)
            handle = os.dup(file.fileno())
        try:
            _mark(handle, checksum)
        finally:
            os.close(handle)

    def _end(self, draft: SegmentWriter) -> int:
        handle = draft.file.fileno()
        size = os.fstat(handle).st_size
        checksum = draft.details.pop("crc32", None)
        if checksum is None:
            checksum = _crc_of(handle, size)
        offset, places = size, {}
        for name, content in draft.captured.items():
            places[name] = (len(content), offset)
            offset += len(content)
        extra = b"".join(draft.captured.values())
        packed = draft.inventory.pack()
        details = json.dumps(
            {**draft.details, "crc32": checksum, "captured": places}, sort_keys=True
        ).encode()
        tail = extra + packed + details
        footer = _FOOTER.pack(_MAGIC, size, len(extra), len(packed), len(details), _crc32(tail))
        os.pwrite(handle, tail + footer, size)
        return int(checksum)

    def sweep(self) -> None:
        """Remove what writers that were killed left behind long ago."""
        old = time.time() - _STALE
        with suppress(OSError):
            for path in self.directory.glob(".*.part"):
                with suppress(OSError):
                    if path.stat().st_mtime < old:
                        path.unlink()


def _mark(target: Path | int, checksum: int) -> None:
    """Set the time of last use, with the mark of the checksum in its fraction."""
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
