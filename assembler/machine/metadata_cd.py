"""Write a metadata CD with the file `config`, which LinuxKit's metadata package reads.

A small ISO 9660 writer for a few files in the root directory; the same content gives the same
bytes.
"""

from __future__ import annotations

import hashlib
import struct
from typing import IO, TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECTOR = 2048
_MAX_CONTENT = 16 << 20
_VOLUME_SECTOR, _TERMINATOR_SECTOR, _PATH_TABLE_SECTOR = 16, 17, 18
_BIG_PATH_TABLE_SECTOR, _ROOT_SECTOR, _CONTENT_SECTOR = 19, 20, 21
# 1980-01-01 as in directory records and in volume descriptors.
_DATE = bytes((80, 1, 1, 0, 0, 0, 0))
_LONG_DATE = b"1980010100000000\0"
_NO_DATE = b"0" * 16 + b"\0"


def create_metadata_cd(path: Path, content: bytes, *, nocloud: bool = False) -> None:
    """Write a CD with metadata: the file `config`, or with `nocloud` files for cloud-init."""
    if nocloud:
        # New content is a new instance, which cloud-init sets up again.
        instance = hashlib.sha256(content).hexdigest()[:16]
        files = {"user-data": content, "meta-data": f"instance-id: i-{instance}\n".encode()}
        write_cd(path, files, "cidata")
    else:
        write_cd(path, {"config": content})


def write_cd(path: Path, files: Mapping[str, bytes], label: str = "CONFIG") -> None:
    """Write an ISO with the files in its root directory; the same files give the same bytes."""
    total = sum(map(len, files.values()))
    if total > _MAX_CONTENT:
        raise MachineError.of(codes.BAD_METADATA, f"{total} bytes of metadata are too many")
    with atomic_write(path, durable=False) as file:
        _write_iso(file, files, label)


def _write_iso(file: IO[bytes], files: Mapping[str, bytes], label: str) -> None:
    files_at = []
    sector = _CONTENT_SECTOR
    # Kernels show these names in lower case and without the version.
    for name in sorted(files, key=str.upper):
        files_at.append((f"{name.upper()};1".encode(), sector, files[name]))
        sector += -(-len(files[name]) // _SECTOR)
    root = _directory_record(b"\0", _ROOT_SECTOR, _SECTOR, is_directory=True)
    listing = root + _directory_record(b"\1", _ROOT_SECTOR, _SECTOR, is_directory=True)
    listing += b"".join(_directory_record(n, at, len(data)) for n, at, data in files_at)
    if len(listing) > _SECTOR:
        raise MachineError.of(codes.BAD_METADATA, f"{len(files)} files of metadata are too many")
    file.seek(_VOLUME_SECTOR * _SECTOR)
    file.write(_volume_descriptor(label, sector, root))
    file.seek(_TERMINATOR_SECTOR * _SECTOR)
    file.write(b"\xffCD001\x01")
    for at, order in ((_PATH_TABLE_SECTOR, "<"), (_BIG_PATH_TABLE_SECTOR, ">")):
        file.seek(at * _SECTOR)
        file.write(struct.pack(order + "BBIH", 1, 0, _ROOT_SECTOR, 1) + b"\0\0")
    file.seek(_ROOT_SECTOR * _SECTOR)
    file.write(listing)
    for _name, at, data in files_at:
        file.seek(at * _SECTOR)
        file.write(data)
    file.truncate(sector * _SECTOR)


def _both_endian(number: int, size: int) -> bytes:
    """Return a number in little-endian and then in big-endian order."""
    return number.to_bytes(size, "little") + number.to_bytes(size, "big")


def _directory_record(name: bytes, sector: int, size: int, *, is_directory: bool = False) -> bytes:
    fixed = (
        _both_endian(sector, 4) + _both_endian(size, 4) + _DATE + bytes((2 * is_directory, 0, 0))
    )
    body = b"\0" + fixed + _both_endian(1, 2) + bytes((len(name),)) + name
    body += b"\0" * ((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _volume_descriptor(label: str, sectors: int, root: bytes) -> bytes:
    parts = [
        b"\x01CD001\x01\0",
        b" " * 32,
        label.encode("ascii", "replace")[:32].ljust(32),
        bytes(8),
        _both_endian(sectors, 4),
        bytes(32),
        _both_endian(1, 2),
        _both_endian(1, 2),
        _both_endian(_SECTOR, 2),
        _both_endian(10, 4),
        struct.pack("<II", _PATH_TABLE_SECTOR, 0),
        struct.pack(">II", _BIG_PATH_TABLE_SECTOR, 0),
        root,
        b" " * (4 * 128 + 3 * 37),
        _LONG_DATE + _LONG_DATE + _NO_DATE + _NO_DATE,
        b"\x01",
    ]
    return b"".join(parts)
