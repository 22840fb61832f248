"""The keys of a release: one signs programs and root hashes, one the index of updates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from assembler.codes import output as codes
from assembler.data_files import open_data_stream
from assembler.errors import OutputError, wrap_os_errors
from assembler.media.keys import read_signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from assembler.media.authenticode import Signer
    from assembler.media.pkcs7 import DigestSigner

_MAX_SIZE = 1 << 16


class IndexSigner(Protocol):
    """Whatever signs the index of updates by ECDSA with P-256."""

    @property
    def public_key(self) -> bytes:
        """Return the public key as PEM."""

    def sign(self, digest: bytes) -> bytes:
        """Return the signature of a SHA-256 digest as DER."""


@dataclass(frozen=True, slots=True)
class ReleaseKeys:
    """What a release is signed with."""

    # Of Secure Boot's db: it signs the boot loader and the unified kernel image.
    programs: Signer
    # The same key for the root hash, which the kernel checks against db.
    root_hash: DigestSigner
    index: IndexSigner


@dataclass(frozen=True, slots=True)
class _DigestKey:
    """A key in a file that signs digests."""

    signer: Signer

    @property
    def certificate(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

        return self.signer.certificate.public_bytes(Encoding.DER)

    def sign(self, digest: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import padding, utils  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        return self.signer.key.sign(digest, padding.PKCS1v15(), utils.Prehashed(SHA256()))


@dataclass(frozen=True, slots=True)
class _IndexKey:
    """A key in a file that signs the index; equal content has equal signatures."""

    key: EllipticCurvePrivateKey

    @property
    def public_key(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
        )

        found = self.key.public_key()
        return found.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, digest: bytes) -> bytes:
        from cryptography.hazmat.primitives.asymmetric import ec, utils  # noqa: PLC0415
        from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415

        # By RFC 6979: the usual random number would change the bytes of each build.
        algorithm = ec.ECDSA(utils.Prehashed(SHA256()), deterministic_signing=True)
        return self.key.sign(digest, algorithm)


def read_release_keys(directory: Path, passphrase: Callable[[], str]) -> ReleaseKeys:
    """Read db.key, db.crt and update.key of a directory."""
    signer = read_signer(directory / "db.key", directory / "db.crt", passphrase)
    return ReleaseKeys(signer, _DigestKey(signer), _read_index_key(directory / "update.key"))


def _read_index_key(path: Path) -> _IndexKey:
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    with wrap_os_errors(path, "read"), open_data_stream(path) as file:
        data = file.read(_MAX_SIZE)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise OutputError.of(
            codes.BAD_RELEASE_KEY, f"{path} cannot be read as a private key", "it is a PEM file"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise OutputError.of(
            codes.BAD_RELEASE_KEY,
            f"{path} is not a key for ECDSA with the curve P-256",
            "`openssl ecparam -name prime256v1 -genkey -noout` makes one",
        )
    return _IndexKey(key)
