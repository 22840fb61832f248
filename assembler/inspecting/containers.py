"""Disk containers (qcow2, VHD, VMDK): what they say, and the disk that they stand for."""

from __future__ import annotations

import re
import struct
import zlib

from assembler.inspecting.found import Found
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import (
    BlockSource,
    BrokenError,
    Source,
    Window,
    exactly,
    text,
    unpacked,
)

_SECTOR = 512
_LARGEST_BLOCK = 32 << 20
_LARGEST_TABLE = 1 << 27
_NOTHING = 0xFFFFFFFF
_OFFSET = 0x00FFFFFFFFFFFE00


def _disk(found: Found, source: Source, look: Look) -> None:
    found.facts["disk size"] = source.size
    inner = look.at(source)
    if inner is not None:
        found.parts.append(("disk", inner))


class _Qcow2(BlockSource):
    """The disk in a qcow2 file."""

    def __init__(self, source: Source, size: int, bits: int, first: bytes) -> None:
        super().__init__(size, 1 << bits)
        self._source = source
        self._bits = bits
        self._first = first
        self._second: tuple[int, bytes] = (0, b"")

    def block(self, number: int) -> bytes | None:
        size = 1 << self._bits
        index, entry = divmod(number, size // 8)
        (table,) = struct.unpack_from(">Q", self._first, index * 8)
        table &= _OFFSET
        if not table:
            return None
        if self._second[0] != table:
            self._second = (table, exactly(self._source, table, size))
        (where,) = struct.unpack_from(">Q", self._second[1], entry * 8)
        if where & 1 << 62:
            shift = 62 - (self._bits - 8)
            at = where & (1 << shift) - 1
            count = (((where & (1 << 62) - 1) >> shift) + 1) * _SECTOR - at % _SECTOR
            try:
                return zlib.decompressobj(-12).decompress(self._source.read(at, count), size)
            except zlib.error as error:
                raise BrokenError(f"a compressed cluster is broken: {error}") from error
        at = where & _OFFSET
        return self._source.read(at, size) if at and not where & 1 else None


def _qcow2(source: Source, found: Found, look: Look) -> None:
    version, backing, _, bits, size, encrypted, entries, table = unpacked(">4xIQIIQIIQ", source, 0)
    found.facts["version"] = version
    found.facts["disk size"] = size
    if version not in (2, 3) or not 9 <= bits <= 21 or encrypted:
        raise BrokenError("it is of a kind that is not looked into")
    if backing:
        raise BrokenError("it needs another file, which it stands on")
    needed = -(-size // (1 << bits + bits - 3))
    if needed > entries or entries * 8 > _LARGEST_TABLE:
        raise BrokenError("its table does not fit to its size")
    _disk(found, _Qcow2(source, size, bits, exactly(source, table, entries * 8)), look)


class _DynamicVhd(BlockSource):
    """The disk in a dynamic VHD."""

    def __init__(self, source: Source, size: int, block: int, table: bytes) -> None:
        super().__init__(size, block)
        self._source = source
        self._table = table

    def block(self, number: int) -> bytes | None:
        (sector,) = struct.unpack_from(">I", self._table, number * 4)
        if sector == _NOTHING:
            return None
        bitmap = -(-self._block // _SECTOR // 8 // _SECTOR) * _SECTOR
        return self._source.read(sector * _SECTOR + bitmap, self._block)


def _vhd_sum(data: bytes, at: int) -> bool:
    (said,) = struct.unpack_from(">I", data, at)
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF == int(said)


def _vhd(source: Source, found: Found, look: Look) -> None:
    footer = exactly(source, source.size - _SECTOR, _SECTOR)
    if not _vhd_sum(footer, 64):
        raise BrokenError("the checksum of its footer is wrong")
    (size,) = struct.unpack_from(">Q", footer, 48)
    (kind,) = struct.unpack_from(">I", footer, 60)
    if kind == 2:
        found.kind = "fixed VHD"
        found.facts["whole MiB"] = size % (1 << 20) == 0
        if size + _SECTOR != source.size:
            raise BrokenError("its size is not that of the file")
        _disk(found, Window(source, 0, size), look)
        return
    if kind != 3:
        raise BrokenError("it needs another file, which it stands on")
    found.kind = "dynamic VHD"
    (at,) = struct.unpack_from(">Q", footer, 16)
    header = exactly(source, at, 1024)
    if header[:8] != b"cxsparse" or not _vhd_sum(header, 36):
        raise BrokenError("its second header is broken")
    table, _, count, block = struct.unpack_from(">QIII", header, 16)
    if not _SECTOR * 8 <= block <= _LARGEST_BLOCK or count * 4 > _LARGEST_TABLE:
        raise BrokenError("its table does not fit to its size")
    if -(-size // block) > count:
        raise BrokenError("its table does not fit to its size")
    _disk(found, _DynamicVhd(source, size, block, exactly(source, table, count * 4)), look)


class _Vmdk(BlockSource):
    """The disk in a VMDK that is one file."""

    def __init__(
        self, source: Source, size: int, grain: int, rest: tuple[bytes, int, bool]
    ) -> None:
        super().__init__(size, grain)
        self._source = source
        self._directory, self._entries, self._packed = rest
        self._table: tuple[int, bytes] = (-1, b"")

    def block(self, number: int) -> bytes | None:
        index, entry = divmod(number, self._entries)
        (sector,) = struct.unpack_from("<I", self._directory, index * 4)
        if not sector:
            return None
        if self._table[0] != sector:
            self._table = (sector, exactly(self._source, sector * _SECTOR, self._entries * 4))
        (grain,) = struct.unpack_from("<I", self._table[1], entry * 4)
        if grain <= 1:
            return None
        if not self._packed:
            return self._source.read(grain * _SECTOR, self._block)
        _, length = unpacked("<QI", self._source, grain * _SECTOR)
        data = self._source.read(grain * _SECTOR + 12, min(length, 2 * self._block))
        try:
            return zlib.decompressobj().decompress(data, self._block)
        except zlib.error as error:
            raise BrokenError(f"a compressed grain is broken: {error}") from error


def _vmdk(source: Source, found: Found, look: Look) -> None:
    _, flags, capacity, grain, at, length, entries, _, directory = unpacked(
        "<4xIIQQQQIQQ", source, 0
    )
    described = text(source.read(at * _SECTOR, min(length * _SECTOR, 1 << 16)).replace(b"\n", b" "))
    if kind := re.search(r'createType="([^"]{1,40})"', described):
        found.facts["type"] = kind[1]
    found.facts["disk size"] = capacity * _SECTOR
    if directory == 0xFFFFFFFFFFFFFFFF:
        # Written in one go: the true header is the last but one sector.
        (directory,) = unpacked("<Q", source, source.size - 2 * _SECTOR + 56)
    if not 8 <= grain <= 2048 or not 1 <= entries <= 4096:
        raise BrokenError("it is of a kind that is not looked into")
    count = -(-capacity // (grain * entries))
    if count * 4 > _LARGEST_TABLE:
        raise BrokenError("its table does not fit to its size")
    rest = (exactly(source, directory * _SECTOR, count * 4), entries, bool(flags & 1 << 16))
    _disk(found, _Vmdk(source, capacity * _SECTOR, grain * _SECTOR, rest), look)


PROBES = (
    Probe("qcow2", lambda head, _: head[:4] == b"QFI\xfb", _qcow2),
    Probe("VMDK", lambda head, _: head[:4] == b"KDMV", _vmdk),
    Probe(
        "VHD",
        lambda _, source: source.read(source.size - _SECTOR, 8) == b"conectix",
        _vhd,
    ),
)
