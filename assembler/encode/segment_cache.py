"""The segment cache: encoded parts of images, kept from build to build.

A segment is a file in the store's directory `segments`. Its name is the hash of everything that its
bytes depend on. It is written under a temporary name and renamed, so it is complete or absent.

    data        the bytes that outputs contain
    extra       captured contents (see `captured`), and the index of the inventory
    inventory   packed; see `assembler.encode.inventory`
    details     JSON
    footer      40 bytes: magic, sizes of the four above, CRC-32 of extra to details

The CRC-32 of the data is in the details. Opening a segment checks all but the data; each run
compares their checksum before it uses them (`SegmentChecks`). A damaged segment is removed and made
again. The modification time is the time of the last use. Several processes may write, use and
remove segments at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from isal import isal_zlib

from assembler.content import FileRange
from assembler.encode.inventory import FILES, INDEX, LINK_TARGETS, PROGRAMS, Inventory
from assembler.files import STORE_MODE, atomic_write
from assembler.part_files import remove_abandoned_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

# Increase it when the file format changes.
_FORM = 1
_MAGIC = b"dolmseg1"
_FOOTER = struct.Struct("<8sQQIII4x")
_WINDOW = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment; its data are the first `size` bytes of the file, and not checked yet."""

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

    @property
    def has_index(self) -> bool:
        """Tell whether there is an index; segments of earlier versions have none."""
        return all(name in self.details["captured"] for name in INDEX)

    def links(self, inventory: Inventory) -> dict[bytes, bytes]:
        """Return the targets of the symbolic links of its inventory."""
        targets = self._indexed(LINK_TARGETS).split(b"\0") if inventory.symlinks else []
        return dict(zip(inventory.symlinks, targets, strict=True))

    def programs(self) -> bytes:
        """Return the paths of programs and hard links, with a NUL before and after each."""
        return b"\0%b\0" % self._indexed(PROGRAMS)

    def files(self) -> bytes:
        """Return the paths of other files, with a NUL before and after each."""
        return b"\0%b\0" % self._indexed(FILES)

    def _indexed(self, name: str) -> bytes:
        return zlib.decompress(self.captured(name) or b"")

    def data(self) -> FileRange:
        """Return the data for outputs."""
        return FileRange(self.file.fileno(), self.size, crc32=self.checksum)

    @property
    def checksum(self) -> int:
        """Return the CRC-32 that the data had when they were written."""
        return int(self.details["crc32"])

    def has_intact_data(self, is_stopped: Callable[[], bool] = lambda: False) -> bool:
        """Compare the data with their checksum; give up and return False when stopped."""
        found, at, handle = 0, 0, self.file.fileno()
        try:
            while at < self.size and not is_stopped():
                data = os.pread(handle, min(_WINDOW, self.size - at), at)
                if not data:
                    return False
                found = _crc32(data, found)
                at += len(data)
        except OSError:
            return False
        return at == self.size and found == self.checksum

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
    # Called with the name of each damaged segment that was removed.
    on_damage: Callable[[str], None] | None = None

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
        """Open a segment if there is one, and record its use; the data are not checked.

        One without an index is made again: it is of an earlier version.
        """
        try:
            segment = self._read(name)
        except FileNotFoundError:
            return None
        if segment is None:
            self.discard(name)
            return None
        if not segment.has_index:
            segment.close()
            return None
        with suppress(OSError):
            os.utime(self.path(name))
        return segment

    def discard(self, name: str) -> None:
        """Remove a damaged segment, if that is possible."""
        with suppress(OSError):
            self.path(name).unlink()
        if self.on_damage is not None:
            self.on_damage(name)

    def is_intact(self, name: str) -> bool:
        """Tell whether a segment is as it was written; one that is gone is."""
        try:
            segment = self._read(name)
        except FileNotFoundError:
            return True
        if segment is None:
            return False
        try:
            return segment.has_intact_data()
        finally:
            segment.close()

    def _read(self, name: str) -> Segment | None:
        """Open a segment; None if anything but its data is damaged."""
        try:
            file = self.path(name).open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError from None
        except OSError:
            return None
        try:
            segment = _parse(file)
        except (OSError, ValueError, KeyError, TypeError, struct.error):
            segment = None
        if segment is None:
            file.close()
        return segment

    @contextmanager
    def create(self, name: str) -> Iterator[SegmentWriter]:
        """Yield a writer whose output becomes the segment if the block succeeds."""
        self.directory.mkdir(parents=True, exist_ok=True)
        # Not synced: after a power cut its size or checksum is wrong, and it is made again.
        with atomic_write(self.path(name), mode=STORE_MODE, durable=False) as file:
            segment = SegmentWriter(file)
            yield segment
            file.flush()
            self._write_footer(segment)

    def _write_footer(self, segment: SegmentWriter) -> None:
        handle = segment.file.fileno()
        size = os.fstat(handle).st_size
        checksum = segment.details.pop("crc32", None)
        if checksum is None:
            checksum = _crc_of(handle, size)
        offset, places = size, {}
        captured = segment.captured | segment.inventory.pack_index()
        for name, content in captured.items():
            places[name] = (len(content), offset)
            offset += len(content)
        extra = b"".join(captured.values())
        packed = segment.inventory.pack()
        details = json.dumps(
            {**segment.details, "crc32": checksum, "captured": places}, sort_keys=True
        ).encode()
        tail = extra + packed + details
        footer = _FOOTER.pack(_MAGIC, size, len(extra), len(packed), len(details), _crc32(tail))
        os.pwrite(handle, tail + footer, size)

    def sweep(self) -> None:
        """Remove the temporary files of killed writers."""
        remove_abandoned_parts(self.directory)


def _parse(file: IO[bytes]) -> Segment | None:
    handle = file.fileno()
    whole = os.fstat(handle).st_size
    footer = os.pread(handle, _FOOTER.size, max(whole - _FOOTER.size, 0))
    magic, size, extra, packed, details_size, crc = _FOOTER.unpack(footer)
    if magic != _MAGIC or size + extra + packed + details_size + _FOOTER.size != whole:
        return None
    tail = os.pread(handle, extra + packed + details_size, size)
    if _crc32(tail) != crc:
        return None
    details = json.loads(tail[extra + packed :])
    int(details["crc32"])
    return Segment(file, size, details, (packed, size + extra))


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
