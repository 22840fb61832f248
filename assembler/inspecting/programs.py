"""Programs for UEFI, unified kernel images among them, and kernels."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from assembler.inspecting.found import Found
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import Source, Window, chunks, exactly, text
from assembler.media import pe
from assembler.media.authenticode import signatures
from assembler.media.sparse_image import Placed

# Sections whose content is text.
_TEXTS = {
    ".cmdline": "command line",
    ".uname": "kernel version",
    ".osrel": "os-release",
    ".sbat": "SBAT",
}
_LONGEST_TEXT = 4096
_ARM64, _RISCV = b"ARM\x64", b"RSC\x05"


class _SourceMedium:
    """A source as a medium, to be hashed."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.size = source.size

    def placed(self) -> Iterator[Placed]:
        """Yield all of it."""
        at = 0
        for data in chunks(self._source):
            yield Placed(at, data)
            at += len(data)


def _look(source: Source, found: Found, look: Look) -> None:
    _kernel_version(source, found)
    headers = pe.parse(source.read(0, pe.MOST_HEADERS), "it")
    found.facts["architecture"] = headers.architecture
    linux = headers.section(".linux")
    if linux is not None:
        found.kind = "unified kernel image"
    sections = []
    for section in headers.sections:
        sections.append(f"{section.name} {section.size}")
        content = Window(source, section.offset, min(section.size, section.padded))
        if section.name in _TEXTS and section.size <= _LONGEST_TEXT:
            said = text(content.read(0, _LONGEST_TEXT).replace(b"\n", b" "))
            if section.name != ".sbat":
                found.facts[_TEXTS[section.name]] = said
        elif section.name in (".linux", ".initrd", ".ucode", ".dtb"):
            inner = look.at(content)
            if inner is not None:
                found.parts.append((section.name, inner))
    found.facts["sections"] = sections
    signed = signatures(_SourceMedium(source), headers)
    found.facts["signed"] = bool(signed)
    for number, signature in enumerate(signed, 1):
        name = "signature" if len(signed) == 1 else f"signature {number}"
        by = f"by {signature.subject}, " if signature.subject else ""
        found.facts[name] = by + (
            "which holds" if signature.holds else f"which does not hold: {signature.problem}"
        )
        if signature.fingerprint:
            found.facts[f"{name} certificate"] = f"sha256:{signature.fingerprint}"
        found.facts[f"{name} holds"] = signature.holds


def _kernel_version(source: Source, found: Found) -> None:
    head = source.read(0, 0x240)
    if head[0x202:0x206] == b"HdrS":
        found.kind = "Linux kernel"
        (place,) = struct.unpack_from("<H", head, 0x20E)
        if place:
            found.facts["version"] = text(source.read(place + 0x200, 256))
    elif head[0x38:0x3C] == _ARM64 or head[0x38:0x3C] == _RISCV:
        found.kind = "Linux kernel"


def _plain_kernel(source: Source, found: Found, _look: Look) -> None:
    _kernel_version(source, found)
    head = exactly(source, 0, 0x40)
    if head[0x38:0x3C] == _ARM64:
        found.facts["architecture"] = "arm64"
    elif head[0x38:0x3C] == _RISCV:
        found.facts["architecture"] = "riscv64"
    else:
        found.facts["architecture"] = "amd64"
    found.facts["EFI stub"] = False


PROBES = (
    Probe("program for UEFI", lambda head, _: pe.is_program(head), _look),
    Probe(
        "Linux kernel",
        lambda head, _: head[0x202:0x206] == b"HdrS" or head[0x38:0x3C] in (_ARM64, _RISCV),
        _plain_kernel,
    ),
)
