"""Programs for UEFI made by tests: as much of them as there has to be."""

from __future__ import annotations

import struct

AMD64, ARM64 = 0x8664, 0xAA64
_HEADERS = 0x1000


def program(
    content: bytes = b"\xc3", machine: int = AMD64, *, room: bool = True, name: str = ".text"
) -> bytes:
    """Return a program of one section; with no room, there is none for further sections."""
    padded = -(-len(content) // 512) * 512
    headers = 0x200 if not room else _HEADERS
    optional = struct.pack(
        "<HBBIIIIIQIIHHHHHHIIIIHHQQQQII",
        *(0x20B, 0, 0, padded, 0, 0, 0x2000, 0x2000, 0, 0x1000, 0x200),
        *(0, 0, 0, 0, 1, 1, 0, 0x3000, headers, 0xDEAD, 10, 0, 0, 0, 0, 0, 0, 16),
    )
    optional += bytes(16 * 8)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", machine, 1, 0x5F000000, 0, 0, len(optional), 0x22)
    section = struct.pack(
        "<8sIIIIIIHHI", name.encode(), len(content), 0x2000, padded, headers, 0, 0, 0, 0, 0x60000020
    )
    start = 0x80 if room else headers - len(coff) - len(optional) - len(section)
    dos = b"MZ" + bytes(58) + struct.pack("<I", start)
    return (dos.ljust(start, b"\0") + coff + optional + section).ljust(
        headers, b"\0"
    ) + content.ljust(padded, b"\0")


def kernel(version: str = "6.12.0-test", machine: int = AMD64) -> bytes:
    """Return what begins as a kernel for PCs with an EFI stub does."""
    made = bytearray(program(b"kernel" * 5000, machine))
    made[0x202:0x206] = b"HdrS"
    made[0x20E:0x210] = struct.pack("<H", 0x300)
    text = f"{version} (somebody@example.com) #1\0".encode()
    made[0x500 : 0x500 + len(text)] = text
    return bytes(made)
