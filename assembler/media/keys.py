"""Keys for Secure Boot: reading a key to sign with, and making a set of keys."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.data_files import open_data_stream
from assembler.errors import OutputError, wrap_os_errors
from assembler.files import atomic_write
from assembler.media.authenticode import Signer
from assembler.media.enrolment import SECURE_BOOT_VARIABLES, signature_list, signed_update
from assembler.tools import require_extra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from cryptography.x509 import Certificate

_MIN_BITS = 2048
_BITS = 2048
_MAX_SIZE = 1 << 20
GUID = "GUID"


@dataclass(frozen=True, slots=True)
class KeySetOptions:
    """How a set of keys is made."""

    # The owner, for the subjects of the certificates.
    name: str
    now: datetime
    days: int = 3650
    # Encrypts the private keys; empty means unencrypted ones.
    passphrase: str = ""


def read_signer(key: Path, certificate: Path, passphrase: Callable[[], str]) -> Signer:
    """Read a private key and its certificate (PEM); `passphrase` is called for an encrypted key."""
    found, read = read_key_pair(key, certificate, passphrase)
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    if not isinstance(found, rsa.RSAPrivateKey) or found.key_size < _MIN_BITS:
        raise OutputError.of(
            codes.BAD_KEY,
            f"{key} is not an RSA key of {_MIN_BITS} bits or more, and firmware takes no other",
            "`dolmen keys generate DIR` makes a set of keys",
        )
    check_key_pair(key, found, certificate, read)
    return Signer(found, read)


def read_key_pair(
    key: Path, certificate: Path, passphrase: Callable[[], str]
) -> tuple[PrivateKeyTypes, Certificate]:
    """Read a private key of any type, and a certificate (PEM)."""
    require_extra("secure-boot")
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    data = _read(key)
    try:
        try:
            found = load_pem_private_key(data, None)
        except TypeError:
            found = load_pem_private_key(data, passphrase().encode())
    except (ValueError, TypeError) as error:
        raise OutputError.of(
            codes.BAD_KEY,
            f"{key} cannot be read as a private key",
            "it must be a PEM file (-----BEGIN PRIVATE KEY-----); is the passphrase right?",
        ) from error
    shown = _read(certificate)
    try:
        read = x509.load_pem_x509_certificate(shown)
    except ValueError as error:
        raise OutputError.of(
            codes.BAD_KEY,
            f"{certificate} cannot be read as a certificate",
            "it must be a PEM file (-----BEGIN CERTIFICATE-----)",
        ) from error
    return found, read


def check_key_pair(
    key: Path, private: PrivateKeyTypes, certificate: Path, shown: Certificate
) -> None:
    """Refuse a certificate of another key."""
    if shown.public_key() != private.public_key():
        raise OutputError.of(codes.BAD_KEY, f"{certificate} is not the certificate of {key}")


def read_certificate(path: Path) -> Certificate:
    """Read a certificate, PEM or DER."""
    require_extra("secure-boot")
    from cryptography import x509  # noqa: PLC0415

    data = _read(path)
    try:
        if data.startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise OutputError.of(codes.BAD_KEY, f"{path} cannot be read as a certificate") from error


def certificate_fingerprint(certificate: Certificate) -> str:
    """Return the SHA-256 of a certificate, in hexadecimal digits."""
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415

    return certificate.fingerprint(hashes.SHA256()).hex()


def generate_keys(directory: Path, request: KeySetOptions) -> list[Path]:
    """Make a set of keys in a directory, with the files that enrol them; nothing is overwritten."""
    require_extra("secure-boot")
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    names = [
        GUID,
        *(
            f"{v.name}.{end}"
            for v in SECURE_BOOT_VARIABLES
            for end in ("key", "crt", "esl", "auth")
        ),
    ]
    with wrap_os_errors(directory):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in names:
        if (directory / name).exists():
            raise OutputError.of(
                codes.BAD_KEY,
                f"{directory / name} exists, and keys are never overwritten",
                "choose another directory, or remove the old keys",
            )
    owner = uuid.uuid4()
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if request.passphrase:
        encryption = serialization.BestAvailableEncryption(request.passphrase.encode())
    _write(directory / GUID, f"{owner}\n".encode())
    above: Signer | None = None
    for variable in SECURE_BOOT_VARIABLES:
        signer = _new_signer(f"{request.name} {variable.name}", request)
        content = signature_list(signer.certificate, owner)
        base = directory / variable.name
        pem = serialization.Encoding.PEM
        _write(
            base.with_suffix(".key"),
            signer.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, encryption),
            mode=0o600,
        )
        _write(base.with_suffix(".crt"), signer.certificate.public_bytes(pem))
        _write(base.with_suffix(".esl"), content)
        enrolling = signed_update(variable, content, above or signer, request.now)
        _write(base.with_suffix(".auth"), enrolling)
        above = signer
    return [directory / name for name in names]


def _new_signer(subject: str, request: KeySetOptions) -> Signer:
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415
    from cryptography.x509.oid import NameOID  # noqa: PLC0415

    key = rsa.generate_private_key(65537, _BITS)
    try:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    except ValueError as error:
        raise OutputError.of(codes.BAD_KEY, f"not a name for a certificate: {error}") from error
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(request.now)
        .not_valid_after(request.now + timedelta(days=request.days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Signer(key, certificate)


def _read(path: Path) -> bytes:
    with wrap_os_errors(path, "read"), open_data_stream(path) as file:
        return file.read(_MAX_SIZE)


def _write(path: Path, data: bytes, mode: int | None = None) -> None:
    with atomic_write(path, mode=mode) as file:
        file.write(data)
