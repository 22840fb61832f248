"""Authenticode signatures of programs for UEFI, as Secure Boot checks them: made and verified.

A signature is PKCS #7 with RSA and SHA-256, without a time: the same program and key give the same
bytes. A `Signer` has a key and its certificate; a `ProgramSignature` is one that a program has.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media import der, pe
from assembler.media.sparse_image import ExtentImage, SparseImage, chunks_in_range, read_image
from assembler.tools import EXTRAS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_INDIRECT = der.oid("1.3.6.1.4.1.311.2.1.4")
_PE_IMAGE = der.oid("1.3.6.1.4.1.311.2.1.15")
_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_EXPLICIT = 0xA0
_REVISION, _PKCS7 = 0x200, 2
_MAX_TABLE = 1 << 20


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and its certificate."""

    key: RSAPrivateKey
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class ProgramSignature:
    """A signature of a program, and whether it is valid."""

    # The subject of the certificate: CN=…
    subject: str
    # SHA-256 of the certificate, in hexadecimal digits.
    fingerprint: str
    # Why it is not valid; empty if it is.
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the key of the certificate signed exactly this program."""
        return not self.problem


def sign_program(program: SparseImage, signer: Signer) -> ExtentImage:
    """Return a program with a signature; a signed program is refused."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    headers = program_headers(program, "the program")
    if headers.certificates[0] or program.size % 8:
        raise OutputError.of(codes.BAD_PROGRAM, "the program is signed already")
    digest, total = _digest_and_sum(program, headers)
    content = _indirect_data(digest)
    attributes = [
        der.sequence(_CONTENT_TYPE, der.set_of(_INDIRECT)),
        der.sequence(_MESSAGE_DIGEST, der.set_of(der.octets(hashlib.sha256(content).digest()))),
    ]
    signature = signer.key.sign(der.set_of(*attributes), padding.PKCS1v15(), hashes.SHA256())
    certificate = signer.certificate
    issuer = der.sequence(certificate.issuer.public_bytes(), der.integer(certificate.serial_number))
    information = der.sequence(
        der.integer(1),
        issuer,
        der.SHA256,
        der.tagged(_EXPLICIT, *sorted(attributes)),
        der.RSA,
        der.octets(signature),
    )
    data = der.sequence(
        der.integer(1),
        der.set_of(der.SHA256),
        der.sequence(_INDIRECT, der.tagged(_EXPLICIT, der.sequence(content))),
        der.tagged(_EXPLICIT, certificate.public_bytes(Encoding.DER)),
        der.set_of(information),
    )
    packed = der.sequence(_SIGNED_DATA, der.tagged(_EXPLICIT, data))
    table = struct.pack("<IHH", 8 + len(packed) + -len(packed) % 8, _REVISION, _PKCS7) + packed
    table += bytes(-len(table) % 8)
    return _with_certificate_table(program, headers, table, total)


def _with_certificate_table(
    program: SparseImage, headers: pe.PeHeaders, table: bytes, total: int
) -> ExtentImage:
    entry = struct.pack("<II", program.size, len(table))
    size = program.size + len(table)
    checksum = _fold_sum(total + _word_sum(entry) + _word_sum(table)) + size
    first, *others = program.extents()
    if not isinstance(first.content, bytes) or len(first.content) < len(headers.data):
        raise ValueError("the first extent must have the headers")
    changed = bytearray(first.content)
    struct.pack_into("<I", changed, headers.checksum, checksum & 0xFFFFFFFF)
    changed[headers.certificate_entry : headers.certificate_entry + 8] = entry
    things = [(p.offset, p.content) for p in others]
    return ExtentImage.of([(0, bytes(changed)), *things, (program.size, table)], size)


def program_signatures(program: SparseImage, headers: pe.PeHeaders) -> list[ProgramSignature]:
    """Return the signatures of a program, each with its problem."""
    place, size = headers.certificates
    if not place or not size:
        return []
    if size > _MAX_TABLE or place + size > program.size:
        return [ProgramSignature("", "", "the table of signatures is broken")]
    table = read_image(program, place, size)
    try:
        digest: bytes | None = _digest_and_sum(program, headers)[0]
    except OutputError:
        digest = None
    found = []
    while len(table) >= 8:
        length, _, kind = struct.unpack_from("<IHH", table)
        if length < 8 or length > len(table):
            found.append(ProgramSignature("", "", "the table of signatures is broken"))
            break
        if kind == _PKCS7:
            found.append(_read_signature(table[8:length], digest))
        table = table[length + -length % 8 :]
    return found


def embedded_certificates(program: SparseImage, headers: pe.PeHeaders) -> list[bytes]:
    """Return the certificates in the signatures of a program, as DER; none of broken ones."""
    place, size = headers.certificates
    if not place or not size or size > _MAX_TABLE or place + size > program.size:
        return []
    found: list[bytes] = []
    for data in _signatures_in(read_image(program, place, size)):
        try:
            _, wrapping = der.parse(data).need(der.SEQUENCE).values()
            parts = der.parse(wrapping.content).need(der.SEQUENCE).values()
            found += [one.encoded for one in der.parse_all(parts[3].need(_EXPLICIT).content)]
        except (ValueError, IndexError):
            continue
    return found


def _signatures_in(table: bytes) -> Iterator[bytes]:
    while len(table) >= 8:
        length, _, kind = struct.unpack_from("<IHH", table)
        if length < 8 or length > len(table):
            return
        if kind == _PKCS7:
            yield table[8:length]
        table = table[length + -length % 8 :]


def _read_signature(data: bytes, digest: bytes | None) -> ProgramSignature:
    extra = EXTRAS["secure-boot"]
    if not extra.installed:
        return ProgramSignature(
            "", "", f"it is not checked without {extra.module}: {extra.install}"
        )
    try:
        return _verify(data, digest)
    except (ValueError, IndexError, TypeError) as error:
        return ProgramSignature("", "", f"the signature cannot be read: {error}")


def _verify(data: bytes, digest: bytes | None) -> ProgramSignature:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    _, wrapping = der.parse(data).need(der.SEQUENCE).values()
    parts = der.parse(wrapping.content).need(der.SEQUENCE).values()
    content = der.parse(parts[2].values()[1].content).need(der.SEQUENCE).content
    information = parts[-1].need(der.SET).values()[0].values()
    wanted = information[1].encoded
    for encoded in der.parse_all(parts[3].need(_EXPLICIT).content):
        certificate = x509.load_der_x509_certificate(encoded.encoded)
        serial = der.integer(certificate.serial_number)
        if der.sequence(certificate.issuer.public_bytes(), serial) == wanted:
            break
    else:
        return ProgramSignature("", "", "the certificate of the signer is missing")
    subject = certificate.subject.rfc4514_string()
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    key = certificate.public_key()
    attributes = information[3].need(_EXPLICIT)
    problem = ""
    if information[2].encoded != der.SHA256 or not isinstance(key, rsa.RSAPublicKey):
        problem = "it does not use RSA and SHA-256"
    elif hashlib.sha256(content).digest() not in _message_digests(attributes):
        problem = "it is of other content"
    elif digest is None or not content.endswith(der.octets(digest)):
        problem = "the program was changed after it was signed"
    else:
        try:
            key.verify(
                information[5].need(der.OCTETS).content,
                der.tagged(der.SET, attributes.content),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            problem = "the key of its certificate did not make it"
    return ProgramSignature(subject, fingerprint, problem)


def _message_digests(attributes: der.DerValue) -> Iterator[bytes]:
    for attribute in attributes.values():
        kind, values = attribute.values()
        if kind.encoded == _MESSAGE_DIGEST:
            yield values.values()[0].content


def program_headers(program: SparseImage, what: str) -> pe.PeHeaders:
    """Return the headers of a program."""
    return pe.parse_pe_headers(read_image(program, 0, pe.MAX_PE_HEADERS), what)


def _indirect_data(digest: bytes) -> bytes:
    """Return the SpcIndirectDataContent with a digest, without its outer SEQUENCE."""
    obsolete = der.tagged(0x80, "<<<Obsolete>>>".encode("utf-16-be"))
    image = der.sequence(
        der.tagged(der.BITS, b"\0"), der.tagged(_EXPLICIT, der.tagged(0xA2, obsolete))
    )
    return der.sequence(_PE_IMAGE, image) + der.sequence(der.SHA256, der.octets(digest))


def _digest_and_sum(program: SparseImage, headers: pe.PeHeaders) -> tuple[bytes, int]:
    """Return the digest of a program, and the sum of its words for the checksum, in one pass.

    Firmware hashes section by section. That equals the whole file if the sections follow each other
    without gaps; a program with gaps is refused.
    """
    end = len(headers.data)
    for section in sorted((s for s in headers.sections if s.padded), key=lambda s: s.offset):
        if section.offset != end:
            raise OutputError.of(codes.BAD_PROGRAM, "the sections of the program have gaps")
        end = section.offset + section.padded
    last = headers.certificates[0] or program.size
    if end > last:
        raise OutputError.of(codes.BAD_PROGRAM, "the program is cut short")
    at, entry = headers.checksum, headers.certificate_entry
    first = headers.data
    hasher = hashlib.sha256(first[:at] + first[at + 4 : entry] + first[entry + 8 :])
    total = _word_sum(first[:at] + bytes(4) + first[at + 4 : entry] + bytes(8) + first[entry + 8 :])
    position = len(first)
    for chunk in chunks_in_range(program, position, last):
        hasher.update(chunk)
        total += _word_sum(chunk) << 8 * (position & 1)
        position += len(chunk)
    hasher.update(bytes(-position % 8))
    return hasher.digest(), total


def _word_sum(data: bytes) -> int:
    """Return the sum of little-endian words of two bytes, modulo 65535, but 0 only for zeros."""
    value = int.from_bytes(data, "little")
    return (value % 0xFFFF or 0xFFFF) if value else 0


def _fold_sum(total: int) -> int:
    return (total % 0xFFFF or 0xFFFF) if total else 0
