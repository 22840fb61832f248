"""The keys that an image is verified with: the public parts of a directory of keys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import usage
from assembler.data_files import open_data_stream
from assembler.errors import UsageError, wrap_os_errors
from assembler.media import SECURE_BOOT_VARIABLES, detached_signers
from assembler.tools import require_extra
from assembler.verification.report import FailedCheckError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate

    from assembler.verification.report import Checks

_MAX_SIZE = 1 << 20
_SUFFIXES = (".crt", ".pem", ".cer", ".der")
_PART = "keys"
# An update of a variable: a time, and the signature with its own header of 24 bytes.
_TIME, _SIGNATURE_HEADER = 16, 24
_ATTRIBUTES = (0x27).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """What signatures are checked against; None for what the directory does not have."""

    directory: Path
    certificates: dict[str, Certificate]
    update: EllipticCurvePublicKey | None
    pcr: RSAPublicKey | None

    @property
    def db(self) -> str:
        """Return the fingerprint of the certificate that programs are signed with."""
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        return self.certificates["db"].fingerprint(SHA256()).hex()


def read_trusted_keys(directory: Path) -> TrustedKeys:
    """Read the certificates and public keys in a directory; db is needed."""
    require_extra("secure-boot")
    from cryptography.hazmat.primitives.asymmetric.ec import (  # noqa: PLC0415
        EllipticCurvePublicKey,
    )
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415

    if not directory.is_dir():
        raise UsageError.of(usage.BAD_OPTION, f"--keys: there is no directory {directory}")
    certificates = {
        variable.name: found
        for variable in SECURE_BOOT_VARIABLES
        if (found := _certificate(directory, variable.name)) is not None
    }
    if "db" not in certificates:
        raise UsageError.of(
            usage.BAD_OPTION,
            f"--keys: {directory} has no certificate db.crt",
            "it is the one that the image is signed with; private keys are not needed",
        )
    update, pcr = _public_key(directory, "update"), _public_key(directory, "pcr")
    if update is not None and not isinstance(update, EllipticCurvePublicKey):
        raise _unreadable(directory / "update.pub")
    if pcr is not None and not isinstance(pcr, RSAPublicKey):
        raise _unreadable(directory / "pcr.pub")
    return TrustedKeys(directory, certificates, update, pcr)


def check_keys(checks: Checks, keys: TrustedKeys) -> None:
    """Check that the keys belong together: each variable is set by the key above it."""
    above = "PK"
    for variable in SECURE_BOOT_VARIABLES:
        name, signer = variable.name, above
        above = name
        what = f"{name}.auth is signed by {signer}"
        path = keys.directory / f"{name}.auth"
        if name not in keys.certificates or signer not in keys.certificates:
            checks.unchecked(_PART, what, f"{name}.crt or {signer}.crt is not there")
            continue
        if not path.is_file():
            checks.unchecked(_PART, what, f"{path.name} is not there")
            continue
        with checks.failing(_PART, what):
            head = name.encode("utf-16-le") + variable.vendor.bytes_le + _ATTRIBUTES
            _check_update(_read(path), head, keys.certificates[name], keys.certificates[signer])
            checks.ok(_PART, what)


def _check_update(data: bytes, head: bytes, own: Certificate, signer: Certificate) -> None:
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    time, length = data[:_TIME], int.from_bytes(data[_TIME : _TIME + 4], "little")
    if not _SIGNATURE_HEADER <= length <= len(data) - _TIME:
        raise FailedCheckError("it is cut short")
    signature = data[_TIME + _SIGNATURE_HEADER : _TIME + length]
    content = data[_TIME + length :]
    if own.public_bytes(Encoding.DER) not in content:
        raise FailedCheckError("it sets another certificate")
    if signer.fingerprint(SHA256()).hex() not in detached_signers(signature, head + time + content):
        raise FailedCheckError("the signature is not right, or that of another key")


def rsa_fingerprint(key: RSAPublicKey) -> str:
    """Return the SHA-256 of a key as RSAPublicKey, by which systemd names it."""
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        Encoding,
        PublicFormat,
    )

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.PKCS1)).hexdigest()


def _certificate(directory: Path, name: str) -> Certificate | None:
    from cryptography import x509  # noqa: PLC0415

    for suffix in _SUFFIXES:
        path = directory / f"{name}{suffix}"
        if path.is_file():
            data = _read(path)
            try:
                if data.startswith(b"-----"):
                    return x509.load_pem_x509_certificate(data)
                return x509.load_der_x509_certificate(data)
            except ValueError as error:
                raise _unreadable(path) from error
    return None


def _public_key(directory: Path, name: str) -> object | None:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    path = directory / f"{name}.pub"
    if not path.is_file():
        return None
    try:
        return load_pem_public_key(_read(path))
    except ValueError as error:
        raise _unreadable(path) from error


def _unreadable(path: Path) -> UsageError:
    return UsageError.of(
        usage.BAD_OPTION, f"--keys: {path} cannot be read as the key or certificate of its name"
    )


def _read(path: Path) -> bytes:
    with wrap_os_errors(path, "read"), open_data_stream(path) as file:
        return file.read(_MAX_SIZE)
