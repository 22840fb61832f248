"""Checking that a file is signed with the key of a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import output
from assembler.errors import OutputError
from assembler.media import certificate_fingerprint, read_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.inspection.result import Inspection


def check_signed_by(inspection: Inspection, path: Path, certificate: Path) -> None:
    """Raise OutputError unless a program in the file has a valid signature of this key."""
    if certificate_fingerprint(read_certificate(certificate)) not in set(inspection.signers()):
        raise OutputError.of(
            output.NOT_SIGNED, f"nothing in {path} is signed with the key of {certificate}"
        )
