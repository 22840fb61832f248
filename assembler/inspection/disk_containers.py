"""Disk containers (qcow2, VHD, VMDK): their headers, and the disk in them."""

from __future__ import annotations

import re
import struct
import zlib
from typing import TYPE_CHECKING

from assembler import magics
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import (
    BlockSource,
    CorruptDataError,
    DataSource,
    SourceWindow,
    printable_text,
    read_exactly,
    unpack_struct,
)

if TYPE_CHECKING:
    from assembler.inspection.result import Inspection

_SECTOR = 512
_MAX_BLOCK = 32 << 20
_MAX_TABLE = 1 << 27
_UNUSED_BLOCK = 0xFFFFFFFF
_OFFSET_MASK = 0x00FFFFFFFFFFFE00


def _inspect_disk(result: Inspection, source: DataSource, inspector: Inspector) -> None:
    result.facts["disk size"] = source.size
    inner = inspector.inspect(source)
    if inner is not None:
        result.parts.append(("disk", inner))


class _Qcow2Source(BlockSource):
    """The disk in a qcow2 file."""

    def __init__(self, source: DataSource, size: int, bits: int, first: bytes) -> None:
        super().__init__(size, 1 << bits)
        self._source = source
        self._bits = bits
        self._first = first
        self._second: tuple[int, bytes] = (0, b"")

    def block(self, number: int) -> bytes | None:
        size = 1 << self._bits
        index, entry = divmod(number, size // 8)
        (table,) = struct.unpack_from(">Q", self._first, index * 8)
        table &= _OFFSET_MASK
        if not table:
            return None
        if self._second[0] != table:
            self._second = (table, read_exactly(self._source, table, size))
        (where,) = struct.unpack_from(">Q", self._second[1], entry * 8)
        if where & 1 << 62:
            shift = 62 - (self._bits - 8)
            at = where & (1 << shift) - 1
            count = (((where & (1 << 62) - 1) >> shift) + 1) * _SECTOR - at % _SECTOR
            try:
                return zlib.decompressobj(-12).decompress(self._source.read(at, count), size)
            except zlib.error as error:
                raise CorruptDataError(f"a compressed cluster is corrupt: {error}") from error
        at = where & _OFFSET_MASK
        return self._source.read(at, size) if at and not where & 1 else None


def _inspect_qcow2(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    version, backing, _, bits, size, encrypted, entries, table = unpack_struct(
        ">4xIQIIQIIQ", source, 0
    )
    result.facts["version"] = version
    result.facts["disk size"] = size
    if version not in (2, 3) or not 9 <= bits <= 21 or encrypted:
        raise CorruptDataError("its variant is not supported")
    if backing:
        raise CorruptDataError("it needs another file, its backing file")
    needed = -(-size // (1 << bits + bits - 3))
    if needed > entries or entries * 8 > _MAX_TABLE:
        raise CorruptDataError("its table does not fit its size")
    _inspect_disk(
        result,
        _Qcow2Source(source, size, bits, read_exactly(source, table, entries * 8)),
        inspector,
    )


class _DynamicVhdSource(BlockSource):
    """The disk in a dynamic VHD."""

    def __init__(self, source: DataSource, size: int, block: int, table: bytes) -> None:
        super().__init__(size, block)
        self._source = source
        self._table = table

    def block(self, number: int) -> bytes | None:
        (sector,) = struct.unpack_from(">I", self._table, number * 4)
        if sector == _UNUSED_BLOCK:
            return None
        bitmap = -(-self._block // _SECTOR // 8 // _SECTOR) * _SECTOR
        return self._source.read(sector * _SECTOR + bitmap, self._block)


def _is_vhd_checksum_valid(data: bytes, at: int) -> bool:
    (said,) = struct.unpack_from(">I", data, at)
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFFFFFF == int(said)


def _inspect_vhd(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    footer = read_exactly(source, source.size - _SECTOR, _SECTOR)
    if not _is_vhd_checksum_valid(footer, 64):
        raise CorruptDataError("the checksum of its footer is wrong")
    (size,) = struct.unpack_from(">Q", footer, 48)
    (kind,) = struct.unpack_from(">I", footer, 60)
    if kind == 2:
        result.kind = "fixed VHD"
        result.facts["whole MiB"] = size % (1 << 20) == 0
        if size + _SECTOR != source.size:
            raise CorruptDataError("its size is not that of the file")
        _inspect_disk(result, SourceWindow(source, 0, size), inspector)
        return
    if kind != 3:
        raise CorruptDataError("it needs another file, its backing file")
    result.kind = "dynamic VHD"
    (at,) = struct.unpack_from(">Q", footer, 16)
    header = read_exactly(source, at, 1024)
    if header[:8] != magics.VHD_DYNAMIC or not _is_vhd_checksum_valid(header, 36):
        raise CorruptDataError("its second header is corrupt")
    table, _, count, block = struct.unpack_from(">QIII", header, 16)
    if not _SECTOR * 8 <= block <= _MAX_BLOCK or count * 4 > _MAX_TABLE:
        raise CorruptDataError("its table does not fit its size")
    if -(-size // block) > count:
        raise CorruptDataError("its table does not fit its size")
    _inspect_disk(
        result,
        _DynamicVhdSource(source, size, block, read_exactly(source, table, count * 4)),
        inspector,
    )


class _VmdkSource(BlockSource):
    """The disk in a VMDK that is one file."""

    def __init__(
        self, source: DataSource, size: int, grain: int, rest: tuple[bytes, int, bool]
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
            self._table = (sector, read_exactly(self._source, sector * _SECTOR, self._entries * 4))
        (grain,) = struct.unpack_from("<I", self._table[1], entry * 4)
        if grain <= 1:
            return None
        if not self._packed:
            return self._source.read(grain * _SECTOR, self._block)
        _, length = unpack_struct("<QI", self._source, grain * _SECTOR)
        data = self._source.read(grain * _SECTOR + 12, min(length, 2 * self._block))
        try:
            return zlib.decompressobj().decompress(data, self._block)
        except zlib.error as error:
            raise CorruptDataError(f"a compressed grain is corrupt: {error}") from error


def _inspect_vmdk(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    _, flags, capacity, grain, at, length, entries, _, directory = unpack_struct(
        "<4xIIQQQQIQQ", source, 0
    )
    described = printable_text(
        source.read(at * _SECTOR, min(length * _SECTOR, 1 << 16)).replace(b"\n", b" ")
    )
    if kind := re.search(r'createType="([^"]{1,40})"', described):
        result.facts["type"] = kind[1]
    result.facts["disk size"] = capacity * _SECTOR
    if directory == 0xFFFFFFFFFFFFFFFF:
        # Written in one pass: the valid header is the last but one sector.
        (directory,) = unpack_struct("<Q", source, source.size - 2 * _SECTOR + 56)
    if not 8 <= grain <= 2048 or not 1 <= entries <= 4096:
        raise CorruptDataError("its variant is not supported")
    count = -(-capacity // (grain * entries))
    if count * 4 > _MAX_TABLE:
        raise CorruptDataError("its table does not fit its size")
    rest = (read_exactly(source, directory * _SECTOR, count * 4), entries, bool(flags & 1 << 16))
    _inspect_disk(result, _VmdkSource(source, capacity * _SECTOR, grain * _SECTOR, rest), inspector)


PROBES = (
    Probe("qcow2", lambda head, _: head.startswith(magics.QCOW2), _inspect_qcow2),
    Probe("VMDK", lambda head, _: head.startswith(magics.VMDK), _inspect_vmdk),
    Probe(
        "VHD",
        lambda _, source: source.read(source.size - _SECTOR, 8) == magics.VHD,
        _inspect_vhd,
    ),
)
