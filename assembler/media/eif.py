"""Enclave image files (EIF), which AWS Nitro Enclaves boot, and the registers that measure them.

https://github.com/aws/aws-nitro-enclaves-image-format has the specification of version 4. All
numbers are big-endian. A register is SHA-384 of 48 zeros and of SHA-384 of what it measures: PCR 0
kernel, command line and all ramdisks, PCR 1 these with the first ramdisk only, PCR 2 the other
ramdisks, PCR 8 the certificate. Neither headers nor metadata are measured.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from isal.isal_zlib import crc32, crc32_combine

from assembler import magics
from assembler.codes import output as codes
from assembler.content import content_size, iter_chunks
from assembler.errors import OutputError
from assembler.media.sparse_image import ExtentImage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from assembler.content import Content
    from assembler.media.enclave_signature import EnclaveSigner

EIF_VERSION = 4
EIF_HEADER_SIZE = 548
# Loaders take no larger signature.
MAX_EIF_SIGNATURE = 32 << 10
_MAX_SECTIONS = 32
# Magic, version, flags, memory, processors, nothing, the number of sections.
_START = struct.Struct(">4sHHQQHH")
# Offsets and sizes of sections, nothing.
_TABLES = struct.Struct(f">{2 * _MAX_SECTIONS}QI")
_CHECKSUM = struct.Struct(">I")
_SECTION = struct.Struct(">HHQ")
EIF_SECTION_SIZE = _SECTION.size
_ARM64_FLAG = 1
# Loaders use neither; the format's own tool writes these.
_DEFAULT_MEMORY, _DEFAULT_PROCESSORS = 1 << 30, 2


class EifSection(IntEnum):
    """The kinds of sections."""

    KERNEL = 1
    CMDLINE = 2
    RAMDISK = 3
    SIGNATURE = 4
    METADATA = 5


@dataclass(frozen=True, slots=True)
class EifHeader:
    """The header of an image."""

    version: int
    architecture: str
    # Offset and size of each section; the offset is that of its header.
    places: tuple[tuple[int, int], ...]
    checksum: int


@dataclass(frozen=True, slots=True)
class EnclaveContent:
    """What an enclave boots, and the JSON that describes it."""

    architecture: str
    kernel: Content
    cmdline: bytes
    ramdisks: Sequence[Content]
    metadata: bytes


@dataclass(frozen=True, slots=True)
class EnclaveImage:
    """An image, and the registers of an enclave that boots it, by their numbers."""

    image: ExtentImage
    registers: Mapping[int, bytes]


class EnclaveRegisters:
    """The registers of the sections of an image, in the order in which they are in it."""

    def __init__(self) -> None:
        self._all, self._base, self._rest = (hashlib.sha384() for _ in range(3))
        self._ramdisks = 0
        self._current: tuple[hashlib._Hash, ...] = ()

    def begin(self, kind: int) -> None:
        """Begin a section."""
        self._current = ()
        if kind in (EifSection.KERNEL, EifSection.CMDLINE):
            self._current = (self._all, self._base)
        elif kind == EifSection.RAMDISK:
            self._current = (self._all, self._rest if self._ramdisks else self._base)
            self._ramdisks += 1

    def update(self, data: bytes) -> None:
        """Add data of the section."""
        for hasher in self._current:
            hasher.update(data)

    def values(self) -> dict[int, bytes]:
        """Return PCR 0 to 2."""
        measured = (self._all, self._base, self._rest)
        return {number: _extended(hasher.digest()) for number, hasher in enumerate(measured)}


def certificate_register(certificate: bytes) -> bytes:
    """Return PCR 8 for a certificate (DER)."""
    return _extended(hashlib.sha384(certificate).digest())


def _extended(digest: bytes) -> bytes:
    """Return a register of zeros after it was extended by a digest."""
    return hashlib.sha384(bytes(len(digest)) + digest).digest()


def enclave_image(content: EnclaveContent, signer: EnclaveSigner | None = None) -> EnclaveImage:
    """Return an image; its content is read once, to measure it."""
    sections: list[tuple[int, Content]] = [
        (EifSection.KERNEL, content.kernel),
        (EifSection.CMDLINE, content.cmdline),
        (EifSection.METADATA, content.metadata),
        *((EifSection.RAMDISK, ramdisk) for ramdisk in content.ramdisks),
    ]
    registers = EnclaveRegisters()
    checksum, size = 0, 0
    for kind, data in sections:
        checksum = crc32(_section_header(kind, data), checksum)
        registers.begin(kind)
        for chunk in iter_chunks(data):
            registers.update(chunk)
            checksum = crc32(chunk, checksum)
        size += EIF_SECTION_SIZE + content_size(data)
    values = registers.values()
    if signer is not None:
        signature = signer.sign_register(0, values[0])
        if len(signature) > MAX_EIF_SIGNATURE:
            raise OutputError.of(
                codes.BAD_KEY,
                f"the signature with its certificate has {len(signature)} bytes, and an enclave "
                f"image at most {MAX_EIF_SIGNATURE}",
            )
        values[8] = certificate_register(signer.certificate_der())
        sections.append((EifSection.SIGNATURE, signature))
        checksum = crc32(_section_header(EifSection.SIGNATURE, signature) + signature, checksum)
        size += EIF_SECTION_SIZE + len(signature)
    head = _head(content.architecture, [content_size(data) for _, data in sections])
    whole = crc32_combine(crc32(head), checksum, size)
    things: list[tuple[int, Content]] = [(0, head + _CHECKSUM.pack(whole))]
    at = EIF_HEADER_SIZE
    for kind, data in sections:
        things += [(at, _section_header(kind, data)), (at + EIF_SECTION_SIZE, data)]
        at += EIF_SECTION_SIZE + content_size(data)
    return EnclaveImage(ExtentImage.of(things, at), values)


def _section_header(kind: int, data: Content) -> bytes:
    return _SECTION.pack(kind, 0, content_size(data))


def _head(architecture: str, sizes: Sequence[int]) -> bytes:
    """Return the header without its last field, the checksum."""
    offsets = []
    at = EIF_HEADER_SIZE
    for size in sizes:
        offsets.append(at)
        at += EIF_SECTION_SIZE + size
    unused = [0] * (_MAX_SECTIONS - len(sizes))
    start = _START.pack(
        magics.EIF,
        EIF_VERSION,
        _ARM64_FLAG if architecture == "arm64" else 0,
        _DEFAULT_MEMORY,
        _DEFAULT_PROCESSORS,
        0,
        len(sizes),
    )
    return start + _TABLES.pack(*offsets, *unused, *sizes, *unused, 0)


def parse_eif_header(data: bytes) -> EifHeader:
    """Return the header; raise ValueError if it has none of these."""
    magic, version, flags, _, _, _, count = _START.unpack_from(data)
    if magic != magics.EIF or count > _MAX_SECTIONS:
        raise ValueError("it has no header of an enclave image")
    *numbers, _ = _TABLES.unpack_from(data, _START.size)
    places = tuple(
        zip(numbers[:count], numbers[_MAX_SECTIONS : _MAX_SECTIONS + count], strict=True)
    )
    (checksum,) = _CHECKSUM.unpack_from(data, EIF_HEADER_SIZE - _CHECKSUM.size)
    return EifHeader(version, "arm64" if flags & _ARM64_FLAG else "amd64", places, checksum)


def parse_eif_section(data: bytes) -> tuple[int, int]:
    """Return kind and size of a section from its header."""
    kind, _, size = _SECTION.unpack(data)
    return kind, size
