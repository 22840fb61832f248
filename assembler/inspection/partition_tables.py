"""Disks with partitions: a GUID partition table, or an MBR alone."""

from __future__ import annotations

import struct
import uuid
import zlib

from assembler import magics
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.result import Fact, Inspection
from assembler.inspection.source import CorruptDataError, DataSource, SourceWindow, read_exactly

SECTOR = 512
# The part of its sector that the header of a GPT has.
GPT_HEADER = 92
_MAX_PARTITIONS = 256
_GPT_TYPES = {
    "c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system",
    "21686148-6449-6e6f-744e-656564454649": "BIOS boot",
    "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux data",
    "4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root (amd64)",
    "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root (arm64)",
    "72ec70a6-cf74-40e6-bd49-4bda08e8f224": "Linux root (riscv64)",
    "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5": "verity data of a Linux root (amd64)",
    "df3300ce-d69f-4c92-978c-9bfb0f38d820": "verity data of a Linux root (arm64)",
    "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "data",
}
_MBR_TYPES = {
    0x01: "FAT12",
    0x04: "FAT16",
    0x06: "FAT16",
    0x0B: "FAT32",
    0x0C: "FAT32",
    0x0E: "FAT16",
    0x17: "hidden",
    0x83: "Linux",
    0xEE: "GPT",
    0xEF: "EFI system",
}
_LEGACY_BOOT = 1 << 2


def read_gpt_header(source: DataSource, at: int) -> tuple[int, bytes, bytes]:
    """Return where the other header is, the disk's GUID and the entries, all checked."""
    data = read_exactly(source, at, SECTOR)
    if data[:8] != magics.GPT:
        raise CorruptDataError("a partition table is missing")
    (size, checksum) = struct.unpack_from("<II", data, 12)
    if (
        not GPT_HEADER <= size <= SECTOR
        or zlib.crc32(data[:16] + bytes(4) + data[20:size]) != checksum
    ):
        raise CorruptDataError("the checksum of a partition table is wrong")
    (other,) = struct.unpack_from("<Q", data, 32)
    (table, count, length, wanted) = struct.unpack_from("<QIII", data, 72)
    if count > _MAX_PARTITIONS or length != 128:
        raise CorruptDataError("a partition table has an unusual form")
    entries = read_exactly(source, table * SECTOR, count * length)
    if zlib.crc32(entries) != wanted:
        raise CorruptDataError("the checksum of the partitions is wrong")
    return other, data[56:72], entries


def _inspect_gpt(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    other, guid, entries = read_gpt_header(source, SECTOR)
    result.facts["partition table"] = "GPT"
    result.facts["GUID"] = str(uuid.UUID(bytes_le=guid))
    code = read_exactly(source, 0, 440)
    result.facts["boot code for a BIOS"] = code.count(0) != len(code)
    for number in range(len(entries) // 128):
        entry = entries[number * 128 : number * 128 + 128]
        if not any(entry[:16]):
            continue
        first, last, attributes = struct.unpack_from("<QQQ", entry, 32)
        kind = str(uuid.UUID(bytes_le=entry[:16]))
        name = entry[56:].decode("utf-16-le", "replace").split("\0")[0]
        facts: dict[str, Fact] = {
            "type": _GPT_TYPES.get(kind, kind),
            "name": name,
            "start": first * SECTOR,
            "UUID": str(uuid.UUID(bytes_le=entry[16:32])),
        }
        if attributes & _LEGACY_BOOT:
            facts["boot by a BIOS"] = True
        _inspect_partition(source, result, inspector, number + 1, (first, last - first + 1, facts))
    # Last, so that everything is shown even if the copy is corrupt.
    if other * SECTOR + SECTOR != source.size:
        raise CorruptDataError("the copy of the partition table is not at the end of the disk")
    if read_gpt_header(source, other * SECTOR)[2] != entries:
        raise CorruptDataError("the copy of the partition table differs")


def _inspect_partition(
    source: DataSource,
    result: Inspection,
    inspector: Inspector,
    number: int,
    described: tuple[int, int, dict[str, Fact]],
) -> None:
    first, count, facts = described
    inner = Inspection("partition", max(0, count) * SECTOR, facts)
    result.parts.append((f"partition {number}", inner))
    if (first + count) * SECTOR > source.size or count <= 0:
        inner.problem = "it is not on the disk"
        return
    content = inspector.inspect(SourceWindow(source, first * SECTOR, count * SECTOR))
    if content is not None:
        inner.parts.append(("content", content))


def _inspect_mbr(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    head = read_exactly(source, 0, SECTOR)
    result.facts["partition table"] = "MBR"
    result.facts["boot code for a BIOS"] = head[:440].count(0) != 440
    for number in range(4):
        entry = head[446 + 16 * number : 462 + 16 * number]
        first, count = struct.unpack_from("<II", entry, 8)
        if not entry[4] or not count:
            continue
        facts: dict[str, Fact] = {
            "type": _MBR_TYPES.get(entry[4], f"0x{entry[4]:02x}"),
            "start": first * SECTOR,
            "active": entry[0] == 0x80,
        }
        _inspect_partition(source, result, inspector, number + 1, (first, count, facts))


def _is_mbr(head: bytes, source: DataSource) -> bool:
    if not magics.is_boot_sector(head) or b"FAT" in (head[54:57], head[82:85]):
        return False
    entries = [head[446 + 16 * n : 462 + 16 * n] for n in range(4)]
    used = [e for e in entries if e[4]]
    sound = all(
        e[0] in (0, 0x80) and struct.unpack_from("<I", e, 8)[0] * SECTOR < source.size for e in used
    )
    return bool(used) and sound


PROBES = (
    Probe("disk", lambda head, _: magics.has_magic(head, magics.GPT, SECTOR), _inspect_gpt),
    Probe("disk", _is_mbr, _inspect_mbr),
)
