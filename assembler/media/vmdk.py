"""VMDK as a compressed stream (streamOptimized), for import by ESXi, vSphere and VirtualBox.

Each grain of 64 KiB that holds content is compressed; tables with their offsets follow them. It is
written in one pass, since compression decides how large a grain is.
"""

from __future__ import annotations

import struct
from typing import IO

from assembler import magics
from assembler.media.deflate import deflate_block
from assembler.media.sparse_image import SparseImage, nonzero_blocks

_SECTOR = 512
_GRAIN = 128 * _SECTOR
_ENTRIES = 512
# In sectors: the descriptor, and everything before the first grain.
_DESCRIPTOR_AT, _DESCRIPTOR, _BEFORE = 1, 20, 128
_END, _TABLE, _DIRECTORY, _FOOTER = 0, 1, 2, 3
_DIRECTORY_AT_END = (1 << 64) - 1
_DESCRIPTION = """\
# Disk DescriptorFile
version=1
CID={identity:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RW {sectors} SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "6"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.adapterType = "lsilogic"
"""


def write_vmdk(disk: SparseImage, seed: bytes, out: IO[bytes]) -> int:
    """Write a disk to a file or stream; return the number of bytes."""
    sectors = -(-disk.size // _GRAIN) * (_GRAIN // _SECTOR)
    # The highest values are reserved.
    identity = int.from_bytes(seed[:4], "little") & 0x7FFFFFFF
    text = _DESCRIPTION.format(
        identity=identity, sectors=sectors, cylinders=min(65535, sectors // (255 * 63))
    )
    stream = _VmdkWriter(out, sectors)
    stream.put(stream.header(_DIRECTORY_AT_END))
    stream.put(text.encode().ljust(_DESCRIPTOR * _SECTOR, b"\0"))
    stream.put(bytes((_BEFORE - _DESCRIPTOR_AT - _DESCRIPTOR) * _SECTOR))
    for number, data in nonzero_blocks(disk, _GRAIN):
        stream.grain(number, data)
    return stream.end()


class _VmdkWriter:
    """The stream, and the tables that grow with it."""

    def __init__(self, out: IO[bytes], sectors: int) -> None:
        self._out = out
        self._sectors = sectors
        self._at = 0
        # The sector of each table; 0 for those without grains.
        self._directory = [0] * -(-sectors // (_GRAIN // _SECTOR * _ENTRIES))
        self._number = -1
        self._table = [0] * _ENTRIES

    def put(self, data: bytes) -> None:
        """Write whole sectors."""
        self._out.write(data)
        self._at += len(data) // _SECTOR

    def grain(self, number: int, data: bytes) -> None:
        """Write a grain; the table before it is written when it is complete."""
        table, entry = divmod(number, _ENTRIES)
        if table != self._number:
            self._flush()
            self._number = table
        self._table[entry] = self._at
        packed = deflate_block(data)
        self.put(
            _pad_sector(struct.pack("<QI", number * (_GRAIN // _SECTOR), len(packed)) + packed)
        )

    def end(self) -> int:
        """Write the grain directory, and the footer that names it."""
        self._flush()
        directory = _pad_sector(struct.pack(f"<{len(self._directory)}I", *self._directory))
        self._mark(len(directory) // _SECTOR, _DIRECTORY)
        lies_at = self._at
        self.put(directory)
        self._mark(1, _FOOTER)
        self.put(self.header(lies_at))
        self._mark(0, _END)
        return self._at * _SECTOR

    def header(self, directory_at: int) -> bytes:
        """Return the header; the first one says that the directory is at the end."""
        return _pad_sector(
            struct.pack(
                "<4sIIQQQQIQQQB4sH",
                # Valid newline test, compressed grains, markers.
                *(magics.VMDK, 3, 0x30001, self._sectors, _GRAIN // _SECTOR),
                *(_DESCRIPTOR_AT, _DESCRIPTOR, _ENTRIES, 0, directory_at, _BEFORE),
                *(0, b"\n \r\n", 1),
            )
        )

    def _flush(self) -> None:
        if self._number < 0:
            return
        data = struct.pack(f"<{_ENTRIES}I", *self._table)
        self._mark(len(data) // _SECTOR, _TABLE)
        self._directory[self._number] = self._at
        self.put(data)
        self._table = [0] * _ENTRIES

    def _mark(self, sectors: int, kind: int) -> None:
        self.put(_pad_sector(struct.pack("<QII", sectors, 0, kind)))


def _pad_sector(data: bytes) -> bytes:
    return data + bytes(-len(data) % _SECTOR)
