"""Disks of verified systems: the machine that verifies them, and the certificate they bring."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """The certificate that the boot loader of a disk is signed with, as DER, and its subject."""

    encoded: bytes
    subject: str


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
