"""Whether an initrd fits into a machine's memory."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import IO

from assembler.codes import machine as codes
from assembler.errors import MachineError, told

_MB = 1 << 20
# What a kernel takes for itself before anything else, at the least.
_KERNEL = 48 * _MB
# Nothing compresses better in practice: below this there is nothing to look into.
_BEST_RATIO = 8
_CHUNK = 1 << 20


def check(initrd: Path, memory: int) -> None:
    """Raise an error if the initrd cannot be unpacked in a machine with `memory` MB.

    The unpacked system may fill half of the memory; the packed one is there at the same time.
    """
    with told(initrd, "read"):
        packed = initrd.stat().st_size
    available = memory * _MB
    if packed * _BEST_RATIO * 2 + _KERNEL < available:
        return
    unpacked = unpacked_size(initrd, limit=4 * available)
    # What cannot be measured is at least not smaller than it is packed.
    unpacked = max(unpacked, packed)
    needed = max(2 * unpacked, unpacked + packed) + _KERNEL
    if needed > available:
        fitting = -(-needed // (256 * _MB)) * 256
        raise MachineError.of(
            codes.TOO_LITTLE_MEMORY,
            f"{memory} MB of memory are too little: {initrd.name} is {unpacked // _MB} MB or more "
            "when it is unpacked, and may fill half of the memory",
            f"give the machine more: --mem {fitting}",
        )


def unpacked_size(path: Path, limit: int) -> int:
    """Return the size of an initrd when it is unpacked, or a lower bound.

    Counting ends at `limit`, and at a part that is compressed with anything but gzip, of which the
    packed size counts.
    """
    with told(path, "read"), path.open("rb") as file:
        return _count(file, limit)


def _count(file: IO[bytes], limit: int) -> int:
    total = 0
    data = file.read(_CHUNK)
    while data and total <= limit:
        if data[:1] == b"\0":
            data = data.lstrip(b"\0") or file.read(_CHUNK)
        elif data.startswith(b"\x1f\x8b"):
            unpacked, data = _member(data, file, limit - total)
            total += unpacked
        else:
            # Plain archives, and whatever cannot be measured.
            here = file.tell()
            return total + len(data) + file.seek(0, 2) - here
    return total


def _member(data: bytes, file: IO[bytes], limit: int) -> tuple[int, bytes]:
    """Count one gzip member, and return what follows it."""
    inflater = zlib.decompressobj(31)
    total = 0
    while not inflater.eof and total <= limit:
        try:
            total += len(inflater.decompress(data, _CHUNK))
        except zlib.error:
            return total, b""
        data = inflater.unconsumed_tail or (b"" if inflater.eof else file.read(_CHUNK))
        if not data and not inflater.eof:
            return total, b""
    return total, inflater.unused_data or file.read(_CHUNK) if inflater.eof else b""
