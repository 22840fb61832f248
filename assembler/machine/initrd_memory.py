"""Whether an initrd fits into a machine's memory."""

from __future__ import annotations

import lzma
import zlib
from pathlib import Path
from typing import IO

from assembler import magics
from assembler.codes import machine as codes
from assembler.errors import MachineError, wrap_os_errors
from assembler.rootfs import DECOMPRESSORS, detect_compression

_MB = 1 << 20
# What a kernel takes for itself before anything else, at the least.
_KERNEL = 48 * _MB
# Nothing compresses better in practice: below this there is nothing to look into.
_BEST_RATIO = 8
_CHUNK = 1 << 20
_MAGIC = 8
_CPIO_HEADER = 110
_CPIO_MAGICS = (magics.NEWC, magics.NEWC_CRC)
_LZ4_BLOCK = 8 << 20
# A block that cannot be compressed is a little larger than it was.
_LZ4_LARGEST = _LZ4_BLOCK + (_LZ4_BLOCK >> 7)


def check_initrd_memory(initrd: Path, memory: int) -> None:
    """Raise an error if the initrd cannot be unpacked in a machine with `memory` MB.

    The unpacked system may fill half of the memory; the packed one is there at the same time.
    """
    with wrap_os_errors(initrd, "read"):
        packed = initrd.stat().st_size
    available = memory * _MB
    if packed * _BEST_RATIO * 2 + _KERNEL < available:
        return
    # What cannot be measured is at least not smaller than it is packed.
    unpacked = max(unpacked_initrd_size(initrd, limit=4 * available), packed)
    needed = max(2 * unpacked, unpacked + packed) + _KERNEL
    if needed > available:
        fitting = -(-needed // (256 * _MB)) * 256
        raise MachineError.of(
            codes.TOO_LITTLE_MEMORY,
            f"{memory} MB of memory are too little: {initrd.name} is {unpacked // _MB} MB or more "
            "when it is unpacked, and may fill half of the memory",
            f"give the machine more: --mem {fitting}",
        )


def unpacked_initrd_size(path: Path, limit: int) -> int:
    """Return the size of an initrd when it is unpacked, or a lower bound.

    Counting ends at `limit`, and at a part that is damaged or compressed in an unknown way, of
    which the packed size counts.
    """
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return _count(file, size, limit)


def _count(file: IO[bytes], size: int, limit: int) -> int:
    total = 0
    while total <= limit:
        start = _skip_zeros(file)
        head = file.read(_MAGIC)
        file.seek(start)
        if not head:
            break
        kind = detect_compression(head)
        before = total
        if head.startswith(_CPIO_MAGICS):
            total += _plain(file)
        elif kind == "lz4":
            total += _lz4(file, limit - total)
        elif kind in DECOMPRESSORS:
            total += _inflated(file, kind, limit - total)
        if total == before:
            # Nothing that could be measured.
            return total + size - start
    return total


def _skip_zeros(file: IO[bytes]) -> int:
    """Go to the next byte that is not zero, and return where it is."""
    at = file.tell()
    while data := file.read(_CHUNK):
        rest = data.lstrip(b"\0")
        if rest:
            file.seek(at + len(data) - len(rest))
            return file.tell()
        at += len(data)
    return at


def _plain(file: IO[bytes]) -> int:
    """Pass over an archive that is not compressed; return its size."""
    start = file.tell()
    while True:
        at = file.tell()
        header = file.read(_CPIO_HEADER)
        if len(header) < _CPIO_HEADER or not header.startswith(_CPIO_MAGICS):
            # The end of the file, or of all that is whole.
            return at - start
        try:
            name, content = int(header[94:102], 16), int(header[54:62], 16)
        except ValueError:
            return at - start
        is_end = file.read(min(name, 16)).startswith(b"TRAILER!!!\0")
        at += -(-(_CPIO_HEADER + name) // 4) * 4
        file.seek(at + -(-content // 4) * 4)
        if is_end:
            return at - start


def _inflated(file: IO[bytes], kind: str, limit: int) -> int:
    """Pass over one compressed stream; return its size when it is unpacked."""
    inflater = DECOMPRESSORS[kind]()
    total = 0
    try:
        while not inflater.eof and total <= limit:
            data = file.read(_CHUNK) if inflater.needs_input else b""
            if not data and inflater.needs_input:
                return total
            total += len(inflater.decompress(data, _CHUNK))
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError):
        file.seek(0, 2)
        return total
    if inflater.eof:
        file.seek(-len(inflater.unused_data), 1)
    return total


def _lz4(file: IO[bytes], limit: int) -> int:
    """Pass over a stream in lz4's old format; return its size when it is unpacked."""
    import lz4.block  # noqa: PLC0415 - only for those who need it

    file.read(4)
    total = 0
    while total <= limit:
        at = file.tell()
        size = int.from_bytes(file.read(4), "little")
        block = file.read(size) if 0 < size <= _LZ4_LARGEST else b""
        try:
            if not block or len(block) < size:
                raise lz4.block.LZ4BlockError
            total += len(lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK))
        except lz4.block.LZ4BlockError:
            # The next stream, the zeros between two, the end.
            file.seek(at)
            return total
    return total
