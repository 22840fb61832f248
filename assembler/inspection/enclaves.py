"""Enclave image files, with the registers that they lead to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from isal.isal_zlib import crc32

from assembler import magics
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import (
    CorruptDataError,
    DataSource,
    SourceWindow,
    printable_text,
    read_chunks,
    read_exactly,
)
from assembler.media import (
    EIF_HEADER_SIZE,
    EIF_SECTION_SIZE,
    MAX_EIF_SIGNATURE,
    EifSection,
    EnclaveRegisters,
    certificate_register,
    check_enclave_signature,
    parse_eif_header,
    parse_eif_section,
)

if TYPE_CHECKING:
    from assembler.inspection.result import Inspection

_CHECKSUM_SIZE = 4
_MAX_TEXT = 4096
_MAX_METADATA = 1 << 20
_NAMES = {"ImageName": "image name", "ImageVersion": "image version"}


def _inspect_enclave(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    head = read_exactly(source, 0, EIF_HEADER_SIZE)
    header = parse_eif_header(head)
    result.facts["version"] = header.version
    result.facts["architecture"] = header.architecture
    registers = EnclaveRegisters()
    checksum = crc32(head[:-_CHECKSUM_SIZE])
    sections: list[str] = []
    signature = b""
    end, ramdisks = EIF_HEADER_SIZE, 0
    for place in header.places:
        section = read_exactly(source, end, EIF_SECTION_SIZE)
        kind, size = parse_eif_section(section)
        if place != (end, size):
            raise CorruptDataError(f"section {len(sections)} is not as the header says")
        content = SourceWindow(source, end + EIF_SECTION_SIZE, size)
        if content.size < size:
            raise CorruptDataError("it is cut short")
        checksum = crc32(section, checksum)
        registers.begin(kind)
        for chunk in read_chunks(content):
            registers.update(chunk)
            checksum = crc32(chunk, checksum)
        name = EifSection(kind).name.lower()
        sections.append(f"{name} {size}")
        if kind == EifSection.CMDLINE:
            result.facts["command line"] = printable_text(content.read(0, _MAX_TEXT))
        elif kind == EifSection.METADATA:
            _note_metadata(content, result)
        elif kind == EifSection.SIGNATURE:
            signature = content.read(0, MAX_EIF_SIGNATURE + 1)
        elif (inner := inspector.inspect(content)) is not None:
            ramdisks += kind == EifSection.RAMDISK
            result.parts.append((f"{name} {ramdisks}" if ramdisks else name, inner))
        end += EIF_SECTION_SIZE + size
    if end != source.size:
        raise CorruptDataError("there is data behind its last section")
    if checksum != header.checksum:
        raise CorruptDataError("its checksum is wrong")
    result.facts["sections"] = sections
    values = registers.values()
    for number, value in values.items():
        result.facts[f"PCR{number}"] = value.hex()
    result.facts["signed"] = bool(signature)
    if signature:
        _note_signature(signature, values[0], result)


def _note_metadata(content: DataSource, result: Inspection) -> None:
    metadata = json.loads(content.read(0, _MAX_METADATA))
    if not isinstance(metadata, dict):
        raise CorruptDataError("its metadata is not an object")
    for key, name in _NAMES.items():
        if value := metadata.get(key):
            result.facts[name] = printable_text(str(value).encode())


def _note_signature(section: bytes, register: bytes, result: Inspection) -> None:
    found = check_enclave_signature(section, register)
    result.facts["PCR8"] = certificate_register(found.certificate).hex()
    by = f"by {found.subject}, " if found.subject else ""
    result.facts["signature"] = by + (
        f"which does not hold: {found.problem}" if found.problem else "which holds"
    )
    if found.fingerprint:
        result.facts["signature certificate"] = f"sha256:{found.fingerprint}"
    result.facts["signature holds"] = not found.problem


PROBES = (Probe("enclave image", lambda head, _: head.startswith(magics.EIF), _inspect_enclave),)
