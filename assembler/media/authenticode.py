"""Signatures on programs for UEFI, as Secure Boot checks them: made and looked at.

A signature is PKCS #7 with RSA and SHA-256, without a time: the same program and key give the same
bytes. `Signer` holds a key and its certificate; `Signature` is what a program has.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media import der, pe
from assembler.media.sparse_image import Arrangement, SparseImage, chunks_between, read_at

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.x509 import Certificate

_SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
_INDIRECT = der.oid("1.3.6.1.4.1.311.2.1.4")
_PE_IMAGE = der.oid("1.3.6.1.4.1.311.2.1.15")
_CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
_EXPLICIT = 0xA0
_REVISION, _PKCS7 = 0x200, 2
_LARGEST_TABLE = 1 << 20


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and the certificate of it."""

    key: RSAPrivateKey
    certificate: Certificate


@dataclass(frozen=True, slots=True)
class Signature:
    """What a signature says, and whether it is of this program."""

    # What people read: CN=…
    subject: str
    # SHA-256 of the certificate, in hexadecimal digits.
    fingerprint: str
    # Why it does not hold; nothing if it does.
    problem: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the program is what was signed by that certificate's key."""
        return not self.problem


def signed(program: SparseImage, signer: Signer) -> Arrangement:
    """Return a program with a signature; it must not have one."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    headers = headers_of(program, "the program")
    if headers.certificates[0] or program.size % 8:
        raise OutputError.of(codes.BAD_PROGRAM, "the program is signed already")
    digest, total = _digest(program, headers)
    content = _indirect(digest)
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
        der.wrapped(_EXPLICIT, *sorted(attributes)),
        der.RSA,
        der.octets(signature),
    )
    data = der.sequence(
        der.integer(1),
        der.set_of(der.SHA256),
        der.sequence(_INDIRECT, der.wrapped(_EXPLICIT, der.sequence(content))),
        der.wrapped(_EXPLICIT, certificate.public_bytes(Encoding.DER)),
        der.set_of(information),
    )
    packed = der.sequence(_SIGNED_DATA, der.wrapped(_EXPLICIT, data))
    table = struct.pack("<IHH", 8 + len(packed) + -len(packed) % 8, _REVISION, _PKCS7) + packed
    table += bytes(-len(table) % 8)
    return _with_table(program, headers, table, total)


def _with_table(program: SparseImage, headers: pe.Headers, table: bytes, total: int) -> Arrangement:
    entry = struct.pack("<II", program.size, len(table))
    size = program.size + len(table)
    checksum = _folded(total + _words(entry) + _words(table)) + size
    first, *others = program.placed()
    if not isinstance(first.content, bytes) or len(first.content) < len(headers.data):
        raise ValueError("the headers of a program are at hand")
    changed = bytearray(first.content)
    struct.pack_into("<I", changed, headers.checksum, checksum & 0xFFFFFFFF)
    changed[headers.certificate_entry : headers.certificate_entry + 8] = entry
    things = [(p.offset, p.content) for p in others]
    return Arrangement.of([(0, bytes(changed)), *things, (program.size, table)], size)


def signatures(program: SparseImage, headers: pe.Headers) -> list[Signature]:
    """Return the signatures of a program, each with what is wrong with it."""
    place, size = headers.certificates
    if not place or not size:
        return []
    if size > _LARGEST_TABLE or place + size > program.size:
        return [Signature("", "", "the table of signatures is broken")]
    table = read_at(program, place, size)
    try:
        digest: bytes | None = _digest(program, headers)[0]
    except OutputError:
        digest = None
    found = []
    while len(table) >= 8:
        length, _, kind = struct.unpack_from("<IHH", table)
        if length < 8 or length > len(table):
            found.append(Signature("", "", "the table of signatures is broken"))
            break
        if kind == _PKCS7:
            found.append(_signature(table[8:length], digest))
        table = table[length + -length % 8 :]
    return found


def _signature(data: bytes, digest: bytes | None) -> Signature:
    try:
        return _checked(data, digest)
    except (ValueError, IndexError, TypeError) as error:
        return Signature("", "", f"the signature cannot be read: {error}")


def _checked(data: bytes, digest: bytes | None) -> Signature:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415

    _, wrapping = der.read(data).need(der.SEQUENCE).values()
    parts = der.read(wrapping.content).need(der.SEQUENCE).values()
    content = der.read(parts[2].values()[1].content).need(der.SEQUENCE).content
    information = parts[-1].need(der.SET).values()[0].values()
    wanted = information[1].encoded
    for encoded in der.read_all(parts[3].need(_EXPLICIT).content):
        certificate = x509.load_der_x509_certificate(encoded.encoded)
        serial = der.integer(certificate.serial_number)
        if der.sequence(certificate.issuer.public_bytes(), serial) == wanted:
            break
    else:
        return Signature("", "", "the certificate of the signer is missing")
    subject = certificate.subject.rfc4514_string()
    fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
    key = certificate.public_key()
    attributes = information[3].need(_EXPLICIT)
    problem = ""
    if information[2].encoded != der.SHA256 or not isinstance(key, rsa.RSAPublicKey):
        problem = "it is not of RSA and SHA-256"
    elif hashlib.sha256(content).digest() not in _digests(attributes):
        problem = "it was made of something else"
    elif digest is None or not content.endswith(der.octets(digest)):
        problem = "the program was changed after it was signed"
    else:
        try:
            key.verify(
                information[5].need(der.OCTETS).content,
                der.wrapped(der.SET, attributes.content),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            problem = "it is not by the key of its certificate"
    return Signature(subject, fingerprint, problem)


def _digests(attributes: der.Value) -> Iterator[bytes]:
    for attribute in attributes.values():
        kind, values = attribute.values()
        if kind.encoded == _MESSAGE_DIGEST:
            yield values.values()[0].content


def headers_of(program: SparseImage, what: str) -> pe.Headers:
    """Return the headers of a program."""
    return pe.parse(read_at(program, 0, pe.MOST_HEADERS), what)


def _indirect(digest: bytes) -> bytes:
    """Return what says that a program has this digest, without the frame around it."""
    obsolete = der.wrapped(0x80, "<<<Obsolete>>>".encode("utf-16-be"))
    image = der.sequence(
        der.wrapped(der.BITS, b"\0"), der.wrapped(_EXPLICIT, der.wrapped(0xA2, obsolete))
    )
    return der.sequence(_PE_IMAGE, image) + der.sequence(der.SHA256, der.octets(digest))


def _digest(program: SparseImage, headers: pe.Headers) -> tuple[bytes, int]:
    """Return the digest of a program, and the sum of its words for the checksum, in one pass.

    Firmware hashes section by section; that is the same as all of the file if they lie side by
    side, and nobody can tell what was meant if they do not.
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
    total = _words(first[:at] + bytes(4) + first[at + 4 : entry] + bytes(8) + first[entry + 8 :])
    position = len(first)
    for chunk in chunks_between(program, position, last):
        hasher.update(chunk)
        total += _words(chunk) << 8 * (position & 1)
        position += len(chunk)
    hasher.update(bytes(-position % 8))
    return hasher.digest(), total


def _words(data: bytes) -> int:
    """Return the sum of little-endian words of two bytes, modulo 65535, but 0 only for zeros."""
    value = int.from_bytes(data, "little")
    return (value % 0xFFFF or 0xFFFF) if value else 0


def _folded(total: int) -> int:
    return (total % 0xFFFF or 0xFFFF) if total else 0
