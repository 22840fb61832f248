"""Metadata for the guest: a CD with the file `config`, where LinuxKit's metadata package looks.

A small ISO 9660 writer, for a handful of files in the root directory; the same content gives the
same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.files import atomic_write

_SECTOR = 2048
_LARGEST = 16 << 20
_VOLUME, _END, _TABLE, _TABLE_BIG, _ROOT, _FIRST = 16, 17, 18, 19, 20, 21
# 1980-01-01, as a directory has it and as a volume has it.
_DATE = bytes((80, 1, 1, 0, 0, 0, 0))
_LONG_DATE = b"1980010100000000\0"
_NO_DATE = b"0" * 16 + b"\0"


def create_metadata_cd(path: Path, content: bytes, *, nocloud: bool = False) -> None:
    """Write a CD with metadata: the file `config`, or with `nocloud` files for cloud-init."""
    if nocloud:
        # Other content is another instance, which cloud-init sets up again.
        instance = hashlib.sha256(content).hexdigest()[:16]
        files = {"user-data": content, "meta-data": f"instance-id: i-{instance}\n".encode()}
        write_metadata_cd(path, files, "cidata")
    else:
        write_metadata_cd(path, {"config": content})


def write_metadata_cd(path: Path, files: Mapping[str, bytes], label: str = "CONFIG") -> None:
    """Write an ISO with the files in its root directory; the same files give the same bytes."""
    total = sum(map(len, files.values()))
    if total > _LARGEST:
        raise MachineError.of(codes.BAD_METADATA, f"{total} bytes of metadata are too many")
    with atomic_write(path, durable=False) as file:
        _write(file, files, label)


def _write(file: IO[bytes], files: Mapping[str, bytes], label: str) -> None:
    placed = []
    sector = _FIRST
    # Kernels show these names in lower case and without the version.
    for name in sorted(files, key=str.upper):
        placed.append((f"{name.upper()};1".encode(), sector, files[name]))
        sector += -(-len(files[name]) // _SECTOR)
    root = _record(b"\0", _ROOT, _SECTOR, is_directory=True)
    listing = root + _record(b"\1", _ROOT, _SECTOR, is_directory=True)
    listing += b"".join(_record(n, at, len(data)) for n, at, data in placed)
    if len(listing) > _SECTOR:
        raise MachineError.of(codes.BAD_METADATA, f"{len(files)} files of metadata are too many")
    file.seek(_VOLUME * _SECTOR)
    file.write(_volume(label, sector, root))
    file.seek(_END * _SECTOR)
    file.write(b"\xffCD001\x01")
    for at, order in ((_TABLE, "<"), (_TABLE_BIG, ">")):
        file.seek(at * _SECTOR)
        file.write(struct.pack(order + "BBIH", 1, 0, _ROOT, 1) + b"\0\0")
    file.seek(_ROOT * _SECTOR)
    file.write(listing)
    for _name, at, data in placed:
        file.seek(at * _SECTOR)
        file.write(data)
    file.truncate(sector * _SECTOR)


def _both(number: int, size: int) -> bytes:
    """Return a number in both orders of bytes, one after the other."""
    return number.to_bytes(size, "little") + number.to_bytes(size, "big")


def _record(name: bytes, sector: int, size: int, *, is_directory: bool = False) -> bytes:
    fixed = _both(sector, 4) + _both(size, 4) + _DATE + bytes((2 * is_directory, 0, 0))
    body = b"\0" + fixed + _both(1, 2) + bytes((len(name),)) + name
    body += b"\0" * ((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _volume(label: str, sectors: int, root: bytes) -> bytes:
    parts = [
        b"\x01CD001\x01\0",
        b" " * 32,
        label.encode("ascii", "replace")[:32].ljust(32),
        bytes(8),
        _both(sectors, 4),
        bytes(32),
        _both(1, 2),
        _both(1, 2),
        _both(_SECTOR, 2),
        _both(10, 4),
        struct.pack("<II", _TABLE, 0),
        struct.pack(">II", _TABLE_BIG, 0),
        root,
        b" " * (4 * 128 + 3 * 37),
        _LONG_DATE + _LONG_DATE + _NO_DATE + _NO_DATE,
        b"\x01",
    ]
    return b"".join(parts)
