"""Disks with a GUID partition table and its protective MBR."""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media.sparse_image import Extent, SparseImage, shifted_extents

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GPT_SECTOR = 512
GPT_ALIGNMENT = 1 << 20
ESP_TYPE = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX_TYPE = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
# The attribute that the boot code in the MBR looks for (gptmbr.bin of syslinux).
LEGACY_BOOT_FLAG = 1 << 2
# The table and its copy: a header of a sector, and 128 entries of 128 bytes.
_ENTRIES, _ENTRY = 128, 128
_TABLE = _ENTRIES * _ENTRY // GPT_SECTOR
_FIRST_USABLE = 2 + _TABLE
_SECTORS_BEHIND = 1 + _TABLE
_MAX_NAME = 36
_MAX_MBR_SECTORS = 0xFFFFFFFF
_BOOT_CODE = 440
_NAMESPACE = uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


@dataclass(frozen=True, slots=True)
class GptPartition:
    """The content of a partition, and its entry."""

    type: str
    name: str
    image: SparseImage
    attributes: int = 0
    # Derived from the seed of the disk if it is empty.
    uuid: str = ""


@dataclass(frozen=True, slots=True)
class GptDisk:
    """A disk with partitions in order, each aligned to 1 MiB."""

    size: int
    partitions: tuple[GptPartition, ...]
    seed: bytes
    boot_code: bytes = b""

    @classmethod
    def plan(
        cls,
        partitions: Sequence[GptPartition],
        *,
        seed: bytes,
        size: int | None = None,
        boot_code: bytes = b"",
    ) -> GptDisk:
        """Lay partitions out on a disk of `size` bytes, or one as small as possible.

        UUIDs are derived from the seed. The boot code has at most 440 bytes.
        """
        if len(boot_code) > _BOOT_CODE or len(partitions) > _ENTRIES:
            raise ValueError("too many partitions, or too much boot code")
        needed = gpt_partition_offset(partitions, len(partitions)) + GPT_ALIGNMENT
        if size is not None and size // GPT_SECTOR * GPT_SECTOR < needed:
            raise OutputError.of(
                codes.TOO_SMALL,
                f"the partitions do not fit on a disk of {size} bytes",
                f"they need {needed} bytes",
            )
        total = needed if size is None else size // GPT_SECTOR * GPT_SECTOR
        return cls(total, tuple(partitions), seed, boot_code)

    def first(self, number: int) -> int:
        """Return the offset of a partition."""
        return gpt_partition_offset(self.partitions, number)

    def extents(self) -> Iterator[Extent]:
        """Yield the extents with content."""
        entries = self._entries()
        last = self.size // GPT_SECTOR - 1
        yield Extent(0, self._mbr(last))
        yield Extent(GPT_SECTOR, self._header(1, last, 2, entries))
        yield Extent(2 * GPT_SECTOR, entries)
        for number, partition in enumerate(self.partitions):
            yield from shifted_extents(partition.image, self.first(number))
        yield Extent((last - _TABLE) * GPT_SECTOR, entries)
        yield Extent(last * GPT_SECTOR, self._header(last, 1, last - _TABLE, entries))

    def uuid_of(self, number: int) -> uuid.UUID:
        """Return the UUID of a partition."""
        given = self.partitions[number].uuid
        return uuid.UUID(given) if given else self._uuid(f"partition {number + 1}")

    def _uuid(self, what: str) -> uuid.UUID:
        return uuid.uuid5(_NAMESPACE, f"{self.seed.hex()}/{what}")

    def _entries(self) -> bytes:
        entries = []
        for number, p in enumerate(self.partitions):
            first = self.first(number) // GPT_SECTOR
            entries.append(
                struct.pack(
                    "<16s16sQQQ72s",
                    uuid.UUID(p.type).bytes_le,
                    self.uuid_of(number).bytes_le,
                    first,
                    self.first(number + 1) // GPT_SECTOR - 1,
                    p.attributes,
                    p.name[:_MAX_NAME].encode("utf-16-le"),
                )
            )
        return b"".join(entries).ljust(_ENTRIES * _ENTRY, b"\0")

    def _header(self, here: int, other: int, table: int, entries: bytes) -> bytes:
        sectors = self.size // GPT_SECTOR
        header = struct.pack(
            "<8sIIIIQQQQ16sQIII",
            magics.GPT,
            0x10000,
            92,
            0,
            0,
            here,
            other,
            _FIRST_USABLE,
            sectors - _SECTORS_BEHIND - 1,
            self._uuid("disk").bytes_le,
            table,
            _ENTRIES,
            _ENTRY,
            zlib.crc32(entries),
        )
        checksum = struct.pack("<I", zlib.crc32(header))
        return (header[:16] + checksum + header[20:]).ljust(GPT_SECTOR, b"\0")

    def _mbr(self, last: int) -> bytes:
        covering = struct.pack(
            "<B3sB3sII",
            0,
            b"\x00\x02\x00",
            0xEE,
            b"\xff\xff\xff",
            1,
            min(last, _MAX_MBR_SECTORS),
        )
        signature = self.seed[:4].ljust(4, b"\0") if self.boot_code else bytes(4)
        code = self.boot_code.ljust(_BOOT_CODE, b"\0")
        return code + signature + bytes(2) + covering + bytes(48) + magics.BOOT_SECTOR


def gpt_partition_offset(partitions: Sequence[GptPartition], number: int) -> int:
    """Return the offset of a partition; behind the last one, that of the next."""
    sizes = (p.image.size for p in partitions[:number])
    return GPT_ALIGNMENT + sum(-(-size // GPT_ALIGNMENT) * GPT_ALIGNMENT for size in sizes)


def gpt_partition_capacity(size: int) -> int:
    """Return the size of a single partition that fills a disk."""
    return max(0, (size - 2 * GPT_ALIGNMENT) // GPT_ALIGNMENT * GPT_ALIGNMENT)
