"""Disks of verified systems: how they are recognised, and the machine that verifies them."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from assembler import magics
from assembler.codes import machine as codes
from assembler.errors import DolmenError, MachineError
from assembler.inspection import SourceImage, open_boot_volume
from assembler.machine.firmware import FIRMWARE_FILES
from assembler.media import (
    MAX_PE_HEADERS,
    embedded_certificates,
    parse_pe_headers,
    program_signatures,
)
from assembler.tools import find_program

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.inspection import DataSource
    from assembler.machine.options import RunOptions

# The partition table in front: a sector, the header, and 128 entries.
TABLE_SIZE = 34 * 512
_SECTOR, _ENTRY = 512, 128
# The types of hash trees, by the Discoverable Partitions Specification.
_HASH_TREES = {
    UUID("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5").bytes_le: "amd64",
    UUID("df3300ce-d69f-4c92-978c-9bfb0f38d820").bytes_le: "arm64",
    UUID("b6ed5582-440b-4209-b8da-5ff7c419ea3d").bytes_le: "riscv64",
}


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The certificate that the boot loader of a disk is signed with, as DER, and its subject."""

    encoded: bytes
    subject: str


def verified_architecture(head: bytes) -> str:
    """Return the architecture of the verified system on a disk that begins so, or an empty text."""
    if not magics.has_magic(head, magics.GPT, _SECTOR):
        return ""
    (table,) = struct.unpack_from("<Q", head, _SECTOR + 72)
    entries = head[table * _SECTOR : TABLE_SIZE]
    types = (entries[at : at + 16] for at in range(0, len(entries), _ENTRY))
    return next((_HASH_TREES[t] for t in types if t in _HASH_TREES), "")


def options_for_verified(options: RunOptions, architecture: str) -> RunOptions:
    """Return the options with what a verified system checks itself by: Secure Boot and a TPM."""
    known = FIRMWARE_FILES.get(architecture)
    if known is None or not known.secure:
        # There is no firmware that knows Secure Boot.
        return replace(options, uefi=True)
    # A machine without TPM boots, too; `--tpm` needs one.
    tpm = options.tpm or find_program("swtpm") is not None
    return replace(options, secure_boot=True, tpm=tpm)


def own_certificate(path: Path) -> OwnCertificate:
    """Return the certificate that the boot loader of a disk is signed with."""
    with open_boot_volume(path) as volume:
        for name, source in volume.files.items():
            if name.lower().startswith("efi/boot/") and (found := _signer(name, source)):
                return found
    raise MachineError.of(
        codes.BAD_KEYS,
        f"the boot loader on {path} has no valid signature",
        "firmware with Secure Boot would refuse it: was the disk changed?",
    )


def _signer(name: str, source: DataSource) -> OwnCertificate | None:
    image = SourceImage(source)
    try:
        headers = parse_pe_headers(source.read(0, MAX_PE_HEADERS), name)
        valid = next((s for s in program_signatures(image, headers) if s.holds), None)
        certificates = embedded_certificates(image, headers)
    except DolmenError:
        return None
    if valid is None:
        return None
    encoded = next(
        (c for c in certificates if hashlib.sha256(c).hexdigest() == valid.fingerprint), None
    )
    return None if encoded is None else OwnCertificate(encoded, valid.subject)
