"""PCR 11 of unified kernel images: its value, and signed policies that allow it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import measurement as codes
from assembler.data_files import open_data_stream
from assembler.errors import OutputError, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KERNEL_BOOT = 11
# In the order in which systemd's stub measures them; .pcrsig is about the result.
MEASURED_SECTIONS = (
    *(".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat"),
    *(".pcrpkey", ".profile", ".dtbauto", ".hwids"),
)
_EMPTY_REGISTER = bytes(32)
_POLICY_PCR = (0x17F).to_bytes(4, "big")
# One selection: the bank SHA-256, and three bytes of bits.
_ONE_SELECTION = (1).to_bytes(4, "big") + (0x0B).to_bytes(2, "big") + b"\3"
_MIN_BITS = 2048
_MAX_KEY_FILE = 1 << 20


def extend_register(digests: Iterable[bytes], value: bytes = _EMPTY_REGISTER) -> bytes:
    """Return the value of a register after digests were measured into it."""
    for digest in digests:
        value = hashlib.sha256(value + digest).digest()
    return value


def kernel_boot_digests(sections: Mapping[str, bytes]) -> list[tuple[str, bytes]]:
    """Return what a stub measures into PCR 11, from the digests of sections by name.

    Of each section that is there: its name with a zero byte, and its content.
    """
    found: list[tuple[str, bytes]] = []
    for name in MEASURED_SECTIONS:
        if name in sections:
            found.append((name, hashlib.sha256(name.encode() + b"\0").digest()))
            found.append((name, sections[name]))
    return found


def policy_digest(value: bytes, registers: Sequence[int] = (KERNEL_BOOT,)) -> bytes:
    """Return the policy of TPM2_PolicyPCR in a new session for one value of one register."""
    bits = sum(1 << number for number in registers).to_bytes(3, "little")
    digest = hashlib.sha256(value).digest()
    return hashlib.sha256(bytes(32) + _POLICY_PCR + _ONE_SELECTION + bits + digest).digest()


@dataclass(frozen=True, slots=True)
class PcrSigner:
    """A key that signs policies of PCR 11."""

    key: RSAPrivateKey

    def public_pem(self) -> bytes:
        """Return the public key, as the section .pcrpkey has it."""
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
        )

        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def signature_json(self, value: bytes) -> bytes:
        """Return the section .pcrsig: the signed policy of a value of PCR 11."""
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            Encoding,
            PublicFormat,
        )

        # Systemd takes the hash of the RSAPublicKey of PKCS #1.
        public = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
        policy = policy_digest(value)
        signature = self.key.sign(policy, padding.PKCS1v15(), hashes.SHA256())
        entry = {
            "pcrs": [KERNEL_BOOT],
            "pkfp": hashlib.sha256(public).hexdigest(),
            "pol": policy.hex(),
            "sig": base64.b64encode(signature).decode(),
        }
        return json.dumps({"sha256": [entry]}, separators=(",", ":")).encode() + b"\n"


def read_pcr_signer(path: Path) -> PcrSigner:
    """Return the signer with the key in a PEM file."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_private_key,
    )

    with wrap_os_errors(path, "read"), open_data_stream(path) as file:
        data = file.read(_MAX_KEY_FILE)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise OutputError.of(
            codes.BAD_PCR_KEY, f"{path} has no private key without a passphrase: {error}"
        ) from error
    if not isinstance(key, RSAPrivateKey) or key.key_size < _MIN_BITS:
        raise OutputError.of(codes.BAD_PCR_KEY, f"{path} has no RSA key of {_MIN_BITS} bits")
    return PcrSigner(key)
