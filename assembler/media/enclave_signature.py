"""Signatures of enclave image files: COSE_Sign1 (RFC 9052) of a register, with a certificate.

A section of an image has an array of maps, each with a certificate (PEM) and a signature, both as
arrays of numbers. The loader takes the first one, which signs PCR 0. ECDSA draws its number from
key and data (RFC 6979): the same image and key give the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError
from assembler.media.cbor import CborValue, decode_cbor, encode_cbor
from assembler.media.keys import check_key_pair, read_key_pair
from assembler.tools import EXTRAS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm
    from cryptography.x509 import Certificate

_CERTIFICATE, _SIGNATURE = "signing_certificate", "signature"
_INDEX, _VALUE = "register_index", "register_value"
_ALGORITHM = 1
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
# By the bits of the curve: the number of the algorithm in COSE (ES256, ES384, ES512).
_ALGORITHMS = {256: -7, 384: -35, 521: -36}


@dataclass(frozen=True, slots=True)
class EnclaveSigner:
    """A private key for ECDSA, and its certificate."""

    key: EllipticCurvePrivateKey
    certificate: Certificate

    def certificate_der(self) -> bytes:
        """Return the certificate as PCR 8 measures it."""
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        return self.certificate.public_bytes(Encoding.DER)

    def sign_register(self, number: int, value: bytes) -> bytes:
        """Return the section of an image that signs a register."""
        from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        bits = self.key.curve.key_size
        protected = encode_cbor({_ALGORITHM: _ALGORITHMS[bits]})
        payload = encode_cbor({_INDEX: number, _VALUE: list(value)})
        algorithm = ec.ECDSA(_hash_of(bits), deterministic_signing=True)
        numbers = utils.decode_dss_signature(self.key.sign(_signed(protected, payload), algorithm))
        signature = b"".join(part.to_bytes(-(-bits // 8), "big") for part in numbers)
        sealed = encode_cbor([protected, {}, payload, signature])
        certificate = self.certificate.public_bytes(Encoding.PEM)
        return encode_cbor([{_CERTIFICATE: list(certificate), _SIGNATURE: list(sealed)}])


@dataclass(frozen=True, slots=True)
class EnclaveSignature:
    """The signature of an image, and whether it is valid."""

    certificate: bytes
    # The subject of the certificate, CN=…, and its SHA-256 in hexadecimal digits.
    subject: str = ""
    fingerprint: str = ""
    # Why it is not valid; empty if it is.
    problem: str = ""


def read_enclave_signer(
    key: Path, certificate: Path, passphrase: Callable[[], str]
) -> EnclaveSigner:
    """Read a private key and its certificate (PEM); `passphrase` is called for an encrypted key."""
    private, shown = read_key_pair(key, certificate, passphrase)
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise OutputError.of(
            codes.BAD_KEY,
            f"{key} is not a key for ECDSA, and enclave images take no other",
            "`openssl ecparam -name secp384r1 -genkey -noout -out enclave.key` makes one",
        )
    if private.curve.name not in _CURVES:
        raise OutputError.of(
            codes.BAD_KEY,
            f"{key} is on the curve {private.curve.name}, and enclave images take P-384, P-256 "
            "and P-521",
        )
    check_key_pair(key, private, certificate, shown)
    return EnclaveSigner(private, shown)


def check_enclave_signature(section: bytes, register: bytes) -> EnclaveSignature:
    """Return the first signature of a section, which must be of PCR 0 with this value.

    Raise ValueError if the section cannot be read.
    """
    signatures = decode_cbor(section)
    if not isinstance(signatures, list) or not signatures:
        raise ValueError("the section has no signature")
    pem, sealed = (_field_bytes(signatures[0], name) for name in (_CERTIFICATE, _SIGNATURE))
    certificate = _der_of(pem)
    extra = EXTRAS["secure-boot"]
    if not extra.installed:
        why = f"it is not checked without {extra.module}: {extra.install}"
        return EnclaveSignature(certificate, problem=why)
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    read = x509.load_der_x509_certificate(certificate)
    return EnclaveSignature(
        certificate,
        read.subject.rfc4514_string(),
        read.fingerprint(hashes.SHA256()).hex(),
        _problem_of(read, sealed, register),
    )


def _problem_of(certificate: Certificate, sealed: bytes, register: bytes) -> str:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415

    match decode_cbor(sealed):
        case [bytes(protected), {}, bytes(payload), bytes(signature)]:
            pass
        case _:
            return "it is not COSE_Sign1"
    key = certificate.public_key()
    algorithm = _as_map(decode_cbor(protected)).get(_ALGORITHM)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return "the key of its certificate is not for ECDSA"
    bits = key.curve.key_size
    half = -(-bits // 8)
    if algorithm != _ALGORITHMS.get(bits) or len(signature) != 2 * half:
        return "it does not use the algorithm of its key"
    signed = _as_map(decode_cbor(payload))
    if signed.get(_INDEX) != 0 or _field_bytes(signed, _VALUE) != register:
        return "the image was changed after it was signed"
    numbers = (int.from_bytes(signature[at : at + half], "big") for at in (0, half))
    try:
        key.verify(
            utils.encode_dss_signature(*numbers),
            _signed(protected, payload),
            ec.ECDSA(_hash_of(bits)),
        )
    except InvalidSignature:
        return "the key of its certificate did not make it"
    return ""


def _signed(protected: bytes, payload: bytes) -> bytes:
    """Return what ECDSA signs: the Sig_structure of RFC 9052."""
    return encode_cbor(["Signature1", protected, b"", payload])


def _hash_of(bits: int) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    known: dict[int, HashAlgorithm] = {256: hashes.SHA256(), 384: hashes.SHA384()}
    return known.get(bits) or hashes.SHA512()


def _as_map(value: CborValue) -> Mapping[int | str, CborValue]:
    if not isinstance(value, dict):
        raise ValueError("a part of the signature is not a map")  # noqa: TRY004 - of the data
    return value


def _field_bytes(value: CborValue, name: str) -> bytes:
    """Return the bytes of a field: an array of numbers, or a string of bytes."""
    found = _as_map(value).get(name)
    if isinstance(found, bytes):
        return found
    if isinstance(found, list) and all(isinstance(n, int) and 0 <= n < 256 for n in found):
        return bytes(found)
    raise ValueError(f"the signature has no bytes named {name}")


def _der_of(pem: bytes) -> bytes:
    import ssl  # noqa: PLC0415 - slow to load, and few images are signed

    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
