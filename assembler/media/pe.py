"""Programs for UEFI (PE/COFF): their headers, and a stub with further sections.

A unified kernel image is systemd's stub with kernel, initrd and command line as further sections,
which the stub finds by their names.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import magics
from assembler.codes import output as codes
from assembler.content import Content, content_size
from assembler.errors import OutputError
from assembler.media.sparse_image import ExtentImage

if TYPE_CHECKING:
    from collections.abc import Iterable

PE_MACHINES = {0x8664: "amd64", 0xAA64: "arm64", 0x5064: "riscv64", 0x14C: "386", 0x1C4: "arm"}
# The limit for headers, which have one page or a few.
MAX_PE_HEADERS = 1 << 16
_MAX_SECTIONS = 96
_HEADER = 40
_CODE, _DATA = 0x60000020, 0x40000040
_MAX_SIZE = (1 << 32) - 1
# Offsets in the optional header.
_SIZE_OF_DATA, _ALIGNMENTS, _SIZE_OF_IMAGE, _SIZE_OF_HEADERS, _CHECKSUM = 8, 32, 56, 60, 64
_PLUS, _PLAIN = 0x20B, 0x10B
_CERTIFICATES = 4


@dataclass(frozen=True, slots=True)
class PeSection:
    """A section: its place in memory and in the file."""

    name: str
    address: int
    # Without the padding that it has in the file.
    size: int
    offset: int
    padded: int
    characteristics: int

    @property
    def end(self) -> int:
        """Return the address behind it in memory."""
        return self.address + max(self.size, self.padded)


@dataclass(frozen=True, slots=True)
class PeHeaders:
    """The headers of a program."""

    data: bytes
    machine: int
    # Offsets of the COFF signature, the optional header and the section table.
    coff: int
    optional: int
    table: int
    section_alignment: int
    file_alignment: int
    directories: int
    number_of_directories: int
    # Offset and size of the certificate table; both 0 if there is none.
    certificates: tuple[int, int]
    sections: tuple[PeSection, ...]

    @property
    def architecture(self) -> str:
        """Return the architecture of the program."""
        return PE_MACHINES.get(self.machine, f"machine 0x{self.machine:x}")

    @property
    def checksum(self) -> int:
        """Return the offset of the checksum."""
        return self.optional + _CHECKSUM

    @property
    def certificate_entry(self) -> int:
        """Return the offset of the directory entry of the certificate table."""
        return self.directories + 8 * _CERTIFICATES

    def section(self, name: str) -> PeSection | None:
        """Return a section by its name."""
        return next((s for s in self.sections if s.name == name), None)


def is_pe(data: bytes) -> bool:
    """Tell whether data that begins so has the magics of a program for UEFI."""
    if data[:2] != magics.DOS or len(data) < 0x40:
        return False
    at = int.from_bytes(data[0x3C:0x40], "little")
    return data[at : at + 4] == magics.PE


def parse_pe_headers(data: bytes, what: str) -> PeHeaders:
    """Return the headers at the beginning of data; errors name the program."""
    try:
        return _parse(data)
    except (struct.error, _InvalidHeadersError, ValueError) as error:
        why = error if isinstance(error, _InvalidHeadersError) else "it is cut short"
        raise OutputError.of(
            codes.BAD_PROGRAM, f"{what} is not a program for UEFI: {why}"
        ) from error


class _InvalidHeadersError(Exception):
    """The problem of invalid headers."""


def _parse(data: bytes) -> PeHeaders:
    if not is_pe(data):
        raise _InvalidHeadersError("it has no PE header")
    coff = int.from_bytes(data[0x3C:0x40], "little")
    machine, count, _, _, _, size, _ = struct.unpack_from("<HHIIIHH", data, coff + 4)
    optional = coff + 24
    (magic,) = struct.unpack_from("<H", data, optional)
    if magic not in (_PLUS, _PLAIN):
        raise _InvalidHeadersError("its optional header is unknown")
    if count > _MAX_SECTIONS:
        raise _InvalidHeadersError(f"it has {count} sections")
    directories = optional + (112 if magic == _PLUS else 96)
    (number,) = struct.unpack_from("<I", data, directories - 4)
    section_alignment, file_alignment = struct.unpack_from("<II", data, optional + _ALIGNMENTS)
    (headers,) = struct.unpack_from("<I", data, optional + _SIZE_OF_HEADERS)
    if headers > MAX_PE_HEADERS or headers > len(data):
        raise _InvalidHeadersError("its headers are too large")
    certificates = (0, 0)
    if number > _CERTIFICATES and directories + 8 * _CERTIFICATES + 8 <= optional + size:
        place, length = struct.unpack_from("<II", data, directories + 8 * _CERTIFICATES)
        certificates = (place, length)
    table = optional + size
    sections = []
    for i in range(count):
        name, virtual, address, padded, offset = struct.unpack_from(
            "<8sIIII", data, table + _HEADER * i
        )
        (characteristics,) = struct.unpack_from("<I", data, table + _HEADER * i + 36)
        text = name.rstrip(b"\0").decode("ascii", "backslashreplace")
        sections.append(PeSection(text, address, virtual, offset, padded, characteristics))
    if table + _HEADER * count > headers:
        raise _InvalidHeadersError("its table of sections is cut short")
    return PeHeaders(
        data[:headers],
        machine,
        coff,
        optional,
        table,
        section_alignment,
        file_alignment,
        directories,
        number,
        certificates,
        tuple(sections),
    )


def add_pe_sections(stub: bytes, sections: Iterable[tuple[str, Content]]) -> ExtentImage:
    """Return an unsigned stub with further sections, in their order."""
    found = parse_pe_headers(stub, "the stub")
    added = [(name, content) for name, content in sections if content_size(content)]
    end_of_table = found.table + _HEADER * (len(found.sections) + len(added))
    first = min((s.offset for s in found.sections if s.padded), default=len(found.data))
    power = found.section_alignment & (found.section_alignment - 1) == 0
    if not power or not found.section_alignment or not found.file_alignment:
        raise OutputError.of(codes.BAD_PROGRAM, "the stub has no sections that are aligned")
    if end_of_table > min(first, len(found.data)) or found.certificates[0]:
        raise OutputError.of(
            codes.BAD_PROGRAM,
            "the stub is signed"
            if found.certificates[0]
            else f"the stub has no room for {len(added)} further sections",
            "name an image with systemd's stub of version 252 or newer: --bootloaders IMAGE",
        )
    headers = bytearray(stub)
    address = _align(max(s.end for s in found.sections), found.section_alignment)
    offset = _align(len(stub), found.file_alignment)
    things: list[tuple[int, Content]] = []
    data = 0
    for number, (name, content) in enumerate(added, len(found.sections)):
        size = content_size(content)
        padded = _align(size, found.file_alignment)
        kind = _CODE if name == ".linux" else _DATA
        if max(address + size, offset + padded) > _MAX_SIZE:
            raise OutputError.of(
                codes.TOO_LARGE,
                f"a program for UEFI is below 4 GiB; with {name} it would be larger",
                "remove large files, or choose a format with a filesystem (kernel+squashfs)",
            )
        struct.pack_into(
            "<8sIIIIIIHHI",
            headers,
            found.table + _HEADER * number,
            name.encode("ascii"),
            *(size, address, padded, offset, 0, 0, 0, 0, kind),
        )
        things.append((offset, content))
        address = _align(address + size, found.section_alignment)
        offset += padded
        data += padded
    struct.pack_into("<H", headers, found.coff + 6, len(found.sections) + len(added))
    # No time, and no checksum: firmware ignores both.
    struct.pack_into("<I", headers, found.coff + 8, 0)
    struct.pack_into("<I", headers, found.checksum, 0)
    (before,) = struct.unpack_from("<I", headers, found.optional + _SIZE_OF_DATA)
    struct.pack_into("<I", headers, found.optional + _SIZE_OF_DATA, (before + data) & _MAX_SIZE)
    struct.pack_into("<I", headers, found.optional + _SIZE_OF_IMAGE, address)
    return ExtentImage.of([(0, bytes(headers)), *things], offset)


def _align(value: int, to: int) -> int:
    return -(-value // to) * to
