"""Programs for UEFI as firmware and stubs measure them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from assembler.inspection import (
    CorruptDataError,
    DataSource,
    SourceImage,
    SourceWindow,
    read_chunks,
)
from assembler.media import (
    MAX_PE_HEADERS,
    MEASURED_SECTIONS,
    embedded_certificates,
    is_pe,
    parse_pe_headers,
    program_signatures,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.media import PeHeaders, PeSection, ProgramSignature

_MAGIC = re.compile(rb"#### LoaderInfo: (systemd-(?:stub|boot)) (\d+)(\S*) ####")
_MAX_MAGIC = 256
# What the kernel's EFI stub names its measurements by; the stub is not compressed.
INITRD_EVENT, OPTIONS_EVENT = b"Linux initrd", b"LOADED_IMAGE::LoadOptions"
_MAX_SMALL = 16 << 20
# The entry of the certificate table among the data directories.
_CERTIFICATES = 4


@dataclass(frozen=True, slots=True)
class LoaderVersion:
    """What a program of systemd says that it is."""

    # systemd-stub or systemd-boot.
    name: str
    major: int
    full: str

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.full}"


@dataclass(frozen=True)
class EfiProgram:
    """A program, its path on the medium, and its headers."""

    path: str
    source: DataSource
    headers: PeHeaders

    @classmethod
    def read(cls, path: str, source: DataSource) -> EfiProgram:
        """Return the program in a source."""
        what = path or "it"
        return cls(path, source, parse_pe_headers(source.read(0, MAX_PE_HEADERS), what))

    @cached_property
    def authenticode(self) -> bytes:
        """Return the hash that firmware measures and signatures are of.

        As EDK II computes it: headers without checksum and signature, sections by their place in
        the file, and what follows them but the signature.
        """
        headers = self.headers
        at, entry = headers.checksum, headers.certificate_entry
        data = headers.data
        if headers.number_of_directories > _CERTIFICATES:
            hasher = hashlib.sha256(data[:at] + data[at + 4 : entry] + data[entry + 8 :])
        else:
            hasher = hashlib.sha256(data[:at] + data[at + 4 :])
        done = len(data)
        for section in sorted((s for s in headers.sections if s.padded), key=lambda s: s.offset):
            for chunk in self._range(section.offset, section.padded, section.name):
                hasher.update(chunk)
            done += section.padded
        place, size = headers.certificates
        end = self.source.size - (size if place else 0)
        if done > self.source.size or end < 0:
            raise CorruptDataError("its sections overlap, or it is cut short")
        if end > done:
            for chunk in self._range(done, end - done, "the end"):
                hasher.update(chunk)
        return hasher.digest()

    @cached_property
    def version(self) -> LoaderVersion | None:
        """Return what the program of systemd says that it is."""
        section = self.headers.section(".sdmagic")
        found = _MAGIC.search(self.small(".sdmagic", _MAX_MAGIC)) if section else None
        if found is None:
            return None
        name, major, rest = (group.decode("ascii", "replace") for group in found.groups())
        return LoaderVersion(name, int(major), major + rest)

    @property
    def is_unified(self) -> bool:
        """Tell whether it is a unified kernel image."""
        return self.headers.section(".linux") is not None

    @property
    def is_kernel(self) -> bool:
        """Tell whether it is a kernel with an EFI stub that measures."""
        return not self.is_unified and self.version is None and bool(self.kernel_events)

    @property
    def profiles(self) -> int:
        """Return how many profiles it has."""
        return sum(s.name == ".profile" for s in self.headers.sections)

    @cached_property
    def section_digests(self) -> dict[str, bytes]:
        """Return the digests of the sections that a stub measures, by name."""
        found: dict[str, bytes] = {}
        for section in self.headers.sections:
            if section.name in MEASURED_SECTIONS and section.name not in found and section.size:
                hasher = hashlib.sha256()
                for chunk in self._range(section.offset, section.size, section.name, section):
                    hasher.update(chunk)
                found[section.name] = hasher.digest()
        return found

    @cached_property
    def kernel_events(self) -> frozenset[bytes]:
        """Return which of its events the EFI stub of a kernel knows."""
        found: set[bytes] = set()
        rest = b""
        for chunk in read_chunks(self.source):
            data = rest + chunk
            found.update(name for name in (INITRD_EVENT, OPTIONS_EVENT) if name in data)
            if len(found) == 2:
                break
            rest = data[-len(OPTIONS_EVENT) :]
        return frozenset(found)

    def window(self, name: str) -> DataSource | None:
        """Return the content of a section."""
        section = self.headers.section(name)
        if section is None or not section.size:
            return None
        self._check(section.offset, section.size, name, section)
        return SourceWindow(self.source, section.offset, section.size)

    def small(self, name: str, limit: int = _MAX_SMALL) -> bytes:
        """Return the content of a section that is not large; nothing if it is missing."""
        found = self.window(name)
        if found is None:
            return b""
        if found.size > limit:
            raise CorruptDataError(f"{name} has {found.size} bytes")
        return found.read(0, found.size)

    @cached_property
    def inner_kernel(self) -> EfiProgram | None:
        """Return the kernel in a unified kernel image, if firmware could start it."""
        source = self.window(".linux")
        if source is None or not is_pe(source.read(0, MAX_PE_HEADERS)):
            return None
        return EfiProgram.read(f"{self.path}:.linux" if self.path else ".linux", source)

    def signatures(self) -> list[ProgramSignature]:
        """Return its signatures."""
        return program_signatures(SourceImage(self.source), self.headers)

    def certificates(self) -> list[bytes]:
        """Return the certificates in its signatures, as DER."""
        return embedded_certificates(SourceImage(self.source), self.headers)

    def _check(self, at: int, size: int, name: str, section: PeSection | None = None) -> None:
        if at + size > self.source.size or (section and size > section.padded):
            raise CorruptDataError(f"its section {name} is cut short")

    def _range(
        self, at: int, size: int, name: str, section: PeSection | None = None
    ) -> Iterator[bytes]:
        self._check(at, size, name, section)
        yield from read_chunks(SourceWindow(self.source, at, size))
