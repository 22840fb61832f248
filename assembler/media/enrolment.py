"""Enrolment of keys in firmware: signature lists (.esl), and signed updates (.auth)."""

from __future__ import annotations

import struct
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assembler.media import der

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from assembler.media.authenticode import Signer

_CERT_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
_CERT_TYPE_PKCS7 = uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
_GLOBAL_VARIABLE = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
# Non-volatile, for boot and runtime services, with time-based authenticated writes.
_ATTRIBUTES = 0x27
_REVISION, _TYPE = 0x200, 0xEF1
_DATA = der.oid("1.2.840.113549.1.7.1")
_EXPLICIT = 0xA0


@dataclass(frozen=True, slots=True)
class EfiVariable:
    """A variable of the firmware that holds certificates."""

    name: str
    vendor: uuid.UUID


# Each is signed with the key of the one before it, the first with its own key.
SECURE_BOOT_VARIABLES = (
    EfiVariable("PK", _GLOBAL_VARIABLE),
    EfiVariable("KEK", _GLOBAL_VARIABLE),
    EfiVariable("db", _IMAGE_SECURITY),
)


def signature_list(certificate: Certificate, owner: uuid.UUID) -> bytes:
    """Return an EFI_SIGNATURE_LIST with one certificate."""
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    content = owner.bytes_le + certificate.public_bytes(Encoding.DER)
    sizes = struct.pack("<III", 28 + len(content), 0, len(content))
    return _CERT_X509.bytes_le + sizes + content


def signed_update(variable: EfiVariable, content: bytes, signer: Signer, when: datetime) -> bytes:
    """Return an update that sets a variable to a list, signed with a key that may do so."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    t = when.astimezone(UTC)
    time = struct.pack("<HBBBBBBIhBB", t.year, t.month, t.day, t.hour, t.minute, t.second, *[0] * 5)
    signed = (
        variable.name.encode("utf-16-le")
        + variable.vendor.bytes_le
        + struct.pack("<I", _ATTRIBUTES)
        + time
        + content
    )
    certificate = signer.certificate
    issuer = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))
    signature = signer.key.sign(signed, padding.PKCS1v15(), hashes.SHA256())
    data = der.sequence(
        der.integer(1),
        der.set_of(der.SHA256),
        der.sequence(_DATA),
        der.tagged(_EXPLICIT, certificate.public_bytes(Encoding.DER)),
        der.set_of(
            der.sequence(der.integer(1), issuer, der.SHA256, der.RSA, der.octets(signature)),
        ),
    )
    head = struct.pack("<IHH", 24 + len(data), _REVISION, _TYPE) + _CERT_TYPE_PKCS7.bytes_le
    return time + head + data + content
