"""Check that an initrd fits into a VM's memory, and how much memory it needs."""

from __future__ import annotations

import lzma
import struct
import zlib
from typing import IO, TYPE_CHECKING

from assembler import magics
from assembler.codes import machine as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError, MachineError, wrap_os_errors
from assembler.rootfs import DECOMPRESSORS, detect_compression

if TYPE_CHECKING:
    from pathlib import Path

_MB = 1 << 20
# The minimum memory of the kernel itself, and that of a kernel with a system that has come up: such
# a system has needed this, its packed initrd, and twice what is in it, in all measurements.
_KERNEL_MEMORY = 48 * _MB
_SYSTEM_MEMORY = 49 * _MB
# In a ramfs, files are in memory only once. What a system needs besides is then the peak while the
# initrd is unpacked, which a tmpfs leaves room for.
_RAMFS = "rootfstype=ramfs"
_RAMFS_SYSTEM_MEMORY = 65 * _MB
# Real initrds compress less than this, so smaller ones need no measuring.
_MAX_RATIO = 8
# More than kernels use to unpack themselves.
_LARGE_KERNEL = 256 * _MB
_SETUP_HEADER_END = 0x264
_CHUNK = 1 << 20
_MAGIC_SIZE = 8
_CPIO_HEADER = 110
_CPIO_MAGICS = (magics.NEWC, magics.NEWC_CRC)
_LZ4_BLOCK = 8 << 20
# Incompressible blocks grow a little.
_LZ4_MAX_COMPRESSED = _LZ4_BLOCK + (_LZ4_BLOCK >> 7)


def check_initrd_memory(
    initrd: Path, memory: int, kernel: Path | None = None, command_line: str = ""
) -> Diagnostic | None:
    """Raise an error if the initrd cannot be unpacked in a machine with `memory` MB.

    The unpacked files may fill half of the memory, in a ramfs all of it, and the packed initrd is
    in memory too. Memory that suffices for that alone is a warning.
    """
    with wrap_os_errors(initrd, "read"):
        packed = initrd.stat().st_size
    available = memory * _MB
    if max(packed * (_MAX_RATIO * 2 + 1) + _SYSTEM_MEMORY, _LARGE_KERNEL) < available:
        return None
    # An initrd that cannot be measured is at least as large as its packed size.
    unpacked = max(unpacked_initrd_size(initrd, limit=4 * available), packed)
    in_ramfs = _RAMFS in command_line.split()
    needed = unpacked + packed if in_ramfs else max(2 * unpacked, unpacked + packed)
    needed += _KERNEL_MEMORY
    if needed > available:
        fitting = -(-needed // (256 * _MB)) * 256
        raise MachineError.of(
            codes.TOO_LITTLE_MEMORY,
            f"{memory} MB of memory are too little: {initrd.name} unpacks to {unpacked // _MB} MB "
            f"or more{'' if in_ramfs else ', and may fill half of the memory'}",
            f"give the machine more: --mem {fitting}",
        )
    usual = _usual_memory(packed, unpacked, kernel, in_ramfs=in_ramfs)
    if usual <= memory:
        return None
    return Diagnostic(
        codes.TOO_LITTLE_MEMORY,
        f"{memory} MB of memory are hardly enough: with {initrd.name} a system needs about "
        f"{usual} MB to come up",
        hints=(f"give the machine more: --mem {usual}",),
        severity=Severity.WARNING,
    )


def memory_to_come_up(
    initrd: Path, memory: int, kernel: Path | None = None, command_line: str = ""
) -> int | None:
    """Return the MB that a kernel with an initrd needs, if that is more than `memory` MB."""
    try:
        packed = initrd.stat().st_size
        unpacked = max(unpacked_initrd_size(initrd, limit=16 * memory * _MB), packed)
    except (OSError, DolmenError):
        return None
    in_ramfs = _RAMFS in command_line.split()
    usual = _usual_memory(packed, unpacked, kernel, in_ramfs=in_ramfs)
    return usual if usual > memory else None


def _usual_memory(packed: int, unpacked: int, kernel: Path | None, *, in_ramfs: bool) -> int:
    needed = _SYSTEM_MEMORY + packed + 2 * unpacked
    if in_ramfs:
        needed = min(needed, _RAMFS_SYSTEM_MEMORY + packed + unpacked)
    if kernel is not None:
        needed = max(needed, _end_of_kernel(kernel) + packed)
    return -(-needed // _MB)


def _end_of_kernel(kernel: Path) -> int:
    """Return the address up to which a kernel for PCs uses memory while it unpacks itself, or 0.

    The initrd is at the end of the memory: with less memory, the kernel overwrites it.
    """
    try:
        with kernel.open("rb") as file:
            head = file.read(_SETUP_HEADER_END)
    except OSError:
        return 0
    if len(head) < _SETUP_HEADER_END or head[0x202:0x206] != magics.BZIMAGE or head[0x207] < 2:
        return 0
    address, size = struct.unpack_from("<QI", head, 0x258)
    return int(address + size) if address < _LARGE_KERNEL and size < _LARGE_KERNEL else 0


def unpacked_initrd_size(path: Path, limit: int) -> int:
    """Return the size of an initrd when it is unpacked, or a lower bound.

    Counting ends at `limit`, and at a part that is damaged or has an unknown compression, which
    counts with its packed size.
    """
    with wrap_os_errors(path, "read"), path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return _unpacked_size(file, size, limit)


def _unpacked_size(file: IO[bytes], size: int, limit: int) -> int:
    total = 0
    while total <= limit:
        start = _skip_zeros(file)
        head = file.read(_MAGIC_SIZE)
        file.seek(start)
        if not head:
            break
        kind = detect_compression(head)
        before = total
        if head.startswith(_CPIO_MAGICS):
            total += _cpio_size(file)
        elif kind == "lz4":
            total += _lz4_size(file, limit - total)
        elif kind in DECOMPRESSORS:
            total += _inflated_size(file, kind, limit - total)
        if total == before:
            # This part cannot be measured.
            return total + size - start
    return total


def _skip_zeros(file: IO[bytes]) -> int:
    """Seek to the next byte that is not zero, and return its offset."""
    at = file.tell()
    while data := file.read(_CHUNK):
        rest = data.lstrip(b"\0")
        if rest:
            file.seek(at + len(data) - len(rest))
            return file.tell()
        at += len(data)
    return at


def _cpio_size(file: IO[bytes]) -> int:
    """Skip an uncompressed archive; return its size."""
    start = file.tell()
    while True:
        at = file.tell()
        header = file.read(_CPIO_HEADER)
        if len(header) < _CPIO_HEADER or not header.startswith(_CPIO_MAGICS):
            # The end of the file or of its intact part.
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


def _inflated_size(file: IO[bytes], kind: str, limit: int) -> int:
    """Skip one compressed stream; return its unpacked size."""
    decompressor = DECOMPRESSORS[kind]()
    total = 0
    try:
        while not decompressor.eof and total <= limit:
            data = file.read(_CHUNK) if decompressor.needs_input else b""
            if not data and decompressor.needs_input:
                return total
            total += len(decompressor.decompress(data, _CHUNK))
    except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError):
        file.seek(0, 2)
        return total
    if decompressor.eof:
        file.seek(-len(decompressor.unused_data), 1)
    return total


def _lz4_size(file: IO[bytes], limit: int) -> int:
    """Skip a stream in lz4's legacy format; return its unpacked size."""
    import lz4.block  # noqa: PLC0415 - only for lz4

    file.read(4)
    total = 0
    while total <= limit:
        at = file.tell()
        size = int.from_bytes(file.read(4), "little")
        block = file.read(size) if 0 < size <= _LZ4_MAX_COMPRESSED else b""
        try:
            if not block or len(block) < size:
                raise lz4.block.LZ4BlockError
            total += len(lz4.block.decompress(block, uncompressed_size=_LZ4_BLOCK))
        except lz4.block.LZ4BlockError:
            # The next stream, padding, or the end of the file.
            file.seek(at)
            return total
    return total
