"""Rock Ridge: names, owners, modes, links and devices in addition to ISO 9660.

System use entries that do not fit into a directory record are in a continuation area. An area never
crosses a sector, so a long link target takes several.
"""

from __future__ import annotations

import stat
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ISO_SECTOR = 2048
_MAX_ENTRY = 255
_VERSION = b"\x01"
_CONTINUED = 1
_CURRENT, _PARENT, _ROOT = 2, 4, 8
_CE_SIZE = 28
# The first entry of the root directory: entries follow without a gap.
SHARING_PROTOCOL = b"SP\x07\x01\xbe\xef\x00"
_IDENTIFIER = b"RRIP_1991A"
_DESCRIPTION = (
    b"THE ROCK RIDGE INTERCHANGE PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS"
)
_WHERE = (
    b"PLEASE CONTACT DISC PUBLISHER FOR SPECIFICATION SOURCE.  SEE PUBLISHER IDENTIFIER IN "
    b"PRIMARY VOLUME DESCRIPTOR FOR CONTACT INFORMATION."
)
EXTENSION_REFERENCE = (
    b"ER"
    + bytes([8 + len(_IDENTIFIER) + len(_DESCRIPTION) + len(_WHERE), 1])
    + bytes([len(_IDENTIFIER), len(_DESCRIPTION), len(_WHERE), 1])
    + _IDENTIFIER
    + _DESCRIPTION
    + _WHERE
)


def both_endian(value: int) -> bytes:
    """Return a number of four bytes in both byte orders."""
    return value.to_bytes(4, "little") + value.to_bytes(4, "big")


def posix_entries(mode: int, links: int, owner: tuple[int, int], device: tuple[int, int]) -> bytes:
    """Return the entries PX and PN: the attributes of `stat` that a directory record lacks."""
    fields = both_endian(mode) + both_endian(links) + both_endian(owner[0]) + both_endian(owner[1])
    found = b"PX" + bytes([4 + len(fields)]) + _VERSION + fields
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        major, minor = device
        # Linux and others read the old encoding from the second half alone; larger numbers have
        # both halves.
        high, low = (major, minor) if minor > 0xFF else (0, major << 8 | minor)
        found += b"PN\x14" + _VERSION + both_endian(high) + both_endian(low)
    return found


def name_entries(name: bytes) -> list[bytes]:
    """Return the entries with a name of any length."""
    most = _MAX_ENTRY - 5
    parts = [name[n : n + most] for n in range(0, len(name), most)]
    return [
        b"NM" + bytes([5 + len(part), 1, _CONTINUED if n < len(parts) - 1 else 0]) + part
        for n, part in enumerate(parts)
    ]


def link_entries(target: bytes) -> list[bytes]:
    """Return the entries with the target of a symbolic link."""
    most = _MAX_ENTRY - 5
    groups: list[bytearray] = [bytearray()]
    for component in _link_components(target):
        if len(groups[-1]) + len(component) > most:
            groups.append(bytearray())
        groups[-1] += component
    return [
        b"SL" + bytes([5 + len(group), 1, _CONTINUED if n < len(groups) - 1 else 0]) + group
        for n, group in enumerate(groups)
    ]


def _link_components(target: bytes) -> list[bytes]:
    found = []
    if target.startswith(b"/"):
        found.append(bytes([_ROOT, 0]))
    for word in target.split(b"/"):
        if word in (b".", b".."):
            found.append(bytes([_CURRENT if word == b"." else _PARENT, 0]))
            continue
        most = _MAX_ENTRY - 7
        parts = [word[n : n + most] for n in range(0, len(word), most)]
        found += [
            bytes([_CONTINUED if n < len(parts) - 1 else 0, len(part)]) + part
            for n, part in enumerate(parts)
        ]
    return found


class ContinuationAreas:
    """The continuation areas of a directory, from a sector on."""

    def __init__(self, sector: int) -> None:
        """Begin without areas."""
        self._sector = sector
        self.data = bytearray()

    def fitted(self, entries: Sequence[bytes], room: int) -> bytes:
        """Return the entries that fit into a record; the others go into an area."""
        whole = b"".join(entries)
        if len(whole) <= room:
            return whole
        kept = []
        room -= _CE_SIZE
        rest = list(entries)
        while rest and len(rest[0]) <= room:
            room -= len(rest[0])
            kept.append(rest.pop(0))
        return b"".join(kept) + self.area(rest)

    def area(self, entries: Sequence[bytes]) -> bytes:
        """Put entries into one or several areas; return the CE entry that refers to the first."""
        groups: list[bytes] = [b""]
        for entry in entries:
            if len(groups[-1]) + len(entry) > ISO_SECTOR - _CE_SIZE:
                groups.append(b"")
            groups[-1] += entry
        places = []
        for number, group in enumerate(groups):
            size = len(group) + (_CE_SIZE if number < len(groups) - 1 else 0)
            if len(self.data) % ISO_SECTOR + size > ISO_SECTOR:
                self.data += bytes(-len(self.data) % ISO_SECTOR)
            places.append((len(self.data), size))
            self.data += bytes(size)
        leading = [self._leading(*place) for place in places]
        for (at, size), group, leads in zip(places, groups, [*leading[1:], b""], strict=True):
            self.data[at : at + size] = group + leads
        return leading[0]

    def _leading(self, at: int, size: int) -> bytes:
        sector, offset = divmod(at, ISO_SECTOR)
        place = both_endian(self._sector + sector) + both_endian(offset) + both_endian(size)
        return struct.pack("<2sBB", b"CE", _CE_SIZE, 1) + place
