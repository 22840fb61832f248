"""Programs for UEFI, unified kernel images among them, and kernels."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from assembler import magics
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import (
    DataSource,
    SourceWindow,
    printable_text,
    read_chunks,
    read_exactly,
)
from assembler.media import MAX_PE_HEADERS, Extent, is_pe, parse_pe_headers, program_signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.inspection.result import Inspection

# Sections whose content is text.
_TEXT_SECTIONS = {
    ".cmdline": "command line",
    ".uname": "kernel version",
    ".osrel": "os-release",
    ".sbat": "SBAT",
}
_MAX_TEXT = 4096


class SourceImage:
    """A source as a sparse image, for hashing."""

    def __init__(self, source: DataSource) -> None:
        """Take the source."""
        self._source = source
        self.size = source.size

    def extents(self) -> Iterator[Extent]:
        """Yield all of it."""
        at = 0
        for data in read_chunks(self._source):
            yield Extent(at, data)
            at += len(data)


def _inspect_program(source: DataSource, result: Inspection, inspector: Inspector) -> None:
    _note_kernel_version(source, result)
    headers = parse_pe_headers(source.read(0, MAX_PE_HEADERS), "it")
    result.facts["architecture"] = headers.architecture
    linux = headers.section(".linux")
    if linux is not None:
        result.kind = "unified kernel image"
    sections = []
    for section in headers.sections:
        sections.append(f"{section.name} {section.size}")
        content = SourceWindow(source, section.offset, min(section.size, section.padded))
        if section.name in _TEXT_SECTIONS and section.size <= _MAX_TEXT:
            said = printable_text(content.read(0, _MAX_TEXT).replace(b"\n", b" "))
            if section.name != ".sbat":
                result.facts[_TEXT_SECTIONS[section.name]] = said
        elif section.name in (".linux", ".initrd", ".ucode", ".dtb"):
            inner = inspector.inspect(content)
            if inner is not None:
                result.parts.append((section.name, inner))
    result.facts["sections"] = sections
    signed = program_signatures(SourceImage(source), headers)
    result.facts["signed"] = bool(signed)
    for number, signature in enumerate(signed, 1):
        name = "signature" if len(signed) == 1 else f"signature {number}"
        by = f"by {signature.subject}, " if signature.subject else ""
        result.facts[name] = by + (
            "which holds" if signature.holds else f"which does not hold: {signature.problem}"
        )
        if signature.fingerprint:
            result.facts[f"{name} certificate"] = f"sha256:{signature.fingerprint}"
        result.facts[f"{name} holds"] = signature.holds


def _is_kernel(head: bytes) -> bool:
    return magics.is_bzimage(head) or magics.is_arm64_image(head) or magics.is_riscv_image(head)


def _note_kernel_version(source: DataSource, result: Inspection) -> None:
    head = source.read(0, 0x240)
    if magics.is_bzimage(head):
        result.kind = "Linux kernel"
        (place,) = struct.unpack_from("<H", head, 0x20E)
        if place:
            result.facts["version"] = printable_text(source.read(place + 0x200, 256))
    elif _is_kernel(head):
        result.kind = "Linux kernel"


def _inspect_kernel(source: DataSource, result: Inspection, _inspect_program: Inspector) -> None:
    _note_kernel_version(source, result)
    head = read_exactly(source, 0, 0x40)
    if magics.is_arm64_image(head):
        result.facts["architecture"] = "arm64"
    elif magics.is_riscv_image(head):
        result.facts["architecture"] = "riscv64"
    else:
        result.facts["architecture"] = "amd64"
    result.facts["EFI stub"] = False


PROBES = (
    Probe("program for UEFI", lambda head, _: is_pe(head), _inspect_program),
    Probe(
        "Linux kernel",
        lambda head, _: _is_kernel(head),
        _inspect_kernel,
    ),
)
