"""PCR 0 of EDK II: the volumes of a firmware that it measures."""

from __future__ import annotations

import hashlib
import lzma
import struct
from typing import TYPE_CHECKING
from uuid import UUID

from assembler.codes import measurement as codes
from assembler.data_files import open_data_file
from assembler.errors import OutputError, wrap_os_errors
from assembler.measurement.events import BLOB, PredictedLog

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CODE = 0
_LZMA = UUID("ee4e5898-3914-4259-9d6e-dc7bd79403cf").bytes_le
_MAX_FIRMWARE, _MAX_UNPACKED = 64 << 20, 64 << 20
_VOLUME_FILE, _VOLUME_SECTION, _GUIDED_SECTION = 0x0B, 0x17, 0x02
_LARGE_FILE = 0x01
# In the order in which their two volumes are measured.
_NAMES = ("PEIFV", "DXEFV")


def note_firmware(log: PredictedLog, path: Path) -> None:
    """Note the events of a firmware, and why its PCR 0 is not known."""
    with wrap_os_errors(path, "read"), open_data_file(path) as file:
        data = file.read(_MAX_FIRMWARE + 1)
    if len(data) > _MAX_FIRMWARE:
        raise OutputError.of(codes.BAD_FIRMWARE, f"{path} is larger than {_MAX_FIRMWARE >> 20} MiB")
    try:
        volumes = [v for found in _volumes(data) for v in _packed_volumes(found)]
    except (struct.error, lzma.LZMAError, _BrokenFirmwareError, ValueError) as error:
        raise OutputError.of(codes.BAD_FIRMWARE, f"{path} is broken: {error}") from error
    if len(volumes) != len(_NAMES):
        raise OutputError.of(
            codes.BAD_FIRMWARE,
            f"{path} is no firmware of EDK II for virtual machines: it has {len(volumes)} packed "
            f"volumes instead of {len(_NAMES)}",
        )
    for name, volume in zip(_NAMES, volumes, strict=True):
        log.add(CODE, BLOB, f"{name} of {path.name}", hashlib.sha256(volume).digest())
    log.add_separator(CODE)
    log.doubt(
        (CODE,),
        "before these volumes the firmware measures its version, and it may measure PEIFV after "
        "its programs have run in it and changed their variables; the volumes are listed as the "
        "file has them",
    )


class _BrokenFirmwareError(Exception):
    """What is wrong with a firmware."""


def _volumes(data: bytes) -> Iterator[bytes]:
    """Yield the firmware volumes that follow each other in a file."""
    at = 0
    while at + 56 <= len(data):
        if data[at + 40 : at + 44] != b"_FVH":
            at += 4096
            continue
        (size,) = struct.unpack_from("<Q", data, at + 32)
        if not 56 <= size <= len(data) - at:
            raise _BrokenFirmwareError("a volume is cut short")
        yield data[at : at + size]
        at += size


def _files(volume: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each file of a volume."""
    header, extended = struct.unpack_from("<HxxH", volume, 48)
    at = header
    if extended:
        (size,) = struct.unpack_from("<I", volume, extended + 16)
        at = extended + size
    at = -(-at // 8) * 8
    while at + 24 <= len(volume):
        kind, attributes = volume[at + 18], volume[at + 19]
        size = int.from_bytes(volume[at + 20 : at + 23], "little")
        begin = 24
        if size == 0xFFFFFF and volume[at + 16 : at + 24] == b"\xff" * 8:
            return
        if attributes & _LARGE_FILE:
            (size,) = struct.unpack_from("<Q", volume, at + 24)
            begin = 32
        if not begin <= size <= len(volume) - at:
            raise _BrokenFirmwareError("a file of a volume is cut short")
        yield kind, volume[at + begin : at + size]
        at = -(-(at + size) // 8) * 8


def _sections(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield type, header and content of each section."""
    at = 0
    while at + 4 <= len(data):
        size, head = int.from_bytes(data[at : at + 3], "little"), 4
        kind = data[at + 3]
        if size == 0xFFFFFF:
            (size,) = struct.unpack_from("<I", data, at + 4)
            head = 8
        if not head <= size <= len(data) - at:
            raise _BrokenFirmwareError("a section is cut short")
        yield kind, data[at : at + head], data[at + head : at + size]
        at = -(-(at + size) // 4) * 4


def _packed_volumes(volume: bytes) -> Iterator[bytes]:
    """Yield the volumes in the compressed section of a volume."""
    for kind, content in _files(volume):
        if kind != _VOLUME_FILE:
            continue
        for section, head, inner in _sections(content):
            if section != _GUIDED_SECTION or inner[:16] != _LZMA:
                continue
            (offset,) = struct.unpack_from("<H", inner, 16)
            unpacked = _unpack(inner[offset - len(head) :])
            for nested, _, found in _sections(unpacked):
                if nested == _VOLUME_SECTION:
                    yield found


def _unpack(data: bytes) -> bytes:
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MAX_UNPACKED * 2)
    found = unpacker.decompress(data, _MAX_UNPACKED)
    if not unpacker.eof and len(found) >= _MAX_UNPACKED:
        raise _BrokenFirmwareError("its volumes are too large")
    return found
