"""Detached signatures as PKCS #7: what the kernel checks a root hash of dm-verity with.

They have no attributes and no time: the same content and key give the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from assembler.media import der

_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_DATA = der.oid("1.2.840.113549.1.7.1")
_EXPLICIT = 0xA0


class DigestSigner(Protocol):
    """Whatever signs digests: a key in a file, a token, another machine."""

    @property
    def certificate(self) -> bytes:
        """Return the certificate of the key as DER."""

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest by RSA with PKCS #1 v1.5 padding."""


def detached_signature(content: bytes, signer: DigestSigner) -> bytes:
    """Return the signature of a content, which is not in it, as DER."""
    certificate = signer.certificate
    signature = signer.sign(hashlib.sha256(content).digest())
    information = der.sequence(
        der.integer(1),
        _issuer_and_serial(certificate),
        der.SHA256,
        der.RSA,
        der.octets(signature),
    )
    data = der.sequence(
        der.integer(1),
        der.set_of(der.SHA256),
        der.sequence(_DATA),
        der.tagged(_EXPLICIT, certificate),
        der.set_of(information),
    )
    return der.sequence(_SIGNED_DATA, der.tagged(_EXPLICIT, data))


def _issuer_and_serial(certificate: bytes) -> bytes:
    """Return what names a certificate: its issuer and its serial number."""
    fields = der.parse(certificate).need(der.SEQUENCE).values()[0].need(der.SEQUENCE).values()
    if fields[0].tag == _EXPLICIT:
        # The version, which old certificates do not have.
        fields = fields[1:]
    serial, _, issuer = fields[:3]
    return der.sequence(issuer.need(der.SEQUENCE).encoded, serial.need(der.INTEGER).encoded)
