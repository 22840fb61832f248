"""The partitions by which the disk of a verified system is recognised."""

from __future__ import annotations

import struct
from uuid import UUID

from assembler import magics

# The partition table in front: a sector, the header, and 128 entries.
TABLE_SIZE = 34 * 512
_SECTOR, _ENTRY = 512, 128
# The types of hash trees, by the Discoverable Partitions Specification.
_HASH_TREES = {
    UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5").bytes_le: "amd64",
    UUID("df3300ce-d69f-4c92-978c-9bfb0f38d820").bytes_le: "arm64",
    UUID("b6ed5582-440b-4209-b8da-5ff7c419ea3d").bytes_le: "riscv64",
}


def verified_architecture(head: bytes) -> str:
    """Return the architecture of the verified system on a disk that begins so, or an empty text."""
    if len(head) < 2 * _SECTOR or not magics.has_magic(head, magics.GPT, _SECTOR):
        return ""
    (table,) = struct.unpack_from("<Q", head, _SECTOR + 72)
    entries = head[table * _SECTOR : TABLE_SIZE]
    types = (entries[at : at + 16] for at in range(0, len(entries), _ENTRY))
    return next((_HASH_TREES[t] for t in types if t in _HASH_TREES), "")
