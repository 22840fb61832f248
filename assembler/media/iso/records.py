"""Directory records: sector, size and identifier of a file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.media.iso.rock_ridge import ISO_SECTOR, both_endian

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_RECORD = 254
_FIXED_SIZE = 33
_DIRECTORY, _MORE = 0x02, 0x80
# The largest section of a file: whole sectors, and less than 4 GiB.
MAX_SECTION = (1 << 32) - ISO_SECTOR
# Years from 1900, in a byte.
_EARLIEST, _LATEST = -2208988800, 5869583999


@dataclass(frozen=True, slots=True)
class RecordSize:
    """The size of a record without system use entries, and the room for these."""

    fixed: int

    @property
    def room(self) -> int:
        """Return the bytes that system use entries may have."""
        return _MAX_RECORD - self.fixed


def size_of_record(identifier: bytes) -> RecordSize:
    """Return the size of a record with this identifier."""
    return RecordSize(_FIXED_SIZE + len(identifier) + (1 - len(identifier) % 2))


def directory_record(
    identifier: bytes,
    sector: int,
    size: int,
    mtime: int,
    system_use: bytes = b"",
    *,
    directory: bool = False,
    more: bool = False,
) -> bytes:
    """Return a record; `more` if the next one continues the same file."""
    date = time.gmtime(min(max(mtime, _EARLIEST), _LATEST))
    length = size_of_record(identifier).fixed + len(system_use)
    length += length % 2
    flags = (_DIRECTORY if directory else 0) | (_MORE if more else 0)
    fields = bytes([length, 0]) + both_endian(sector) + both_endian(size)
    fields += bytes([date.tm_year - 1900, *date[1:6], 0, flags, 0, 0]) + b"\1\0\0\1"
    fields += bytes([len(identifier)]) + identifier
    return (fields + bytes(len(fields) % 2) + system_use).ljust(length, b"\0")


def file_sections(sector: int, size: int) -> Iterator[tuple[int, int, bool]]:
    """Yield sector and size of each section of a file, and whether another follows."""
    while size > MAX_SECTION:
        yield sector, MAX_SECTION, True
        sector += MAX_SECTION // ISO_SECTOR
        size -= MAX_SECTION
    yield sector, size, False
