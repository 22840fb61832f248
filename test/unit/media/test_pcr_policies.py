"""Policies of PCR 11: the value that sections make, and what a key signs."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from assembler.errors import OutputError
from assembler.media import (
    PcrSigner,
    extend_register,
    kernel_boot_digests,
    policy_digest,
    read_pcr_signer,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    """Give a key."""
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, passphrase: bytes = b"") -> bytes:
    """Return a private key as PEM."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def test_the_policy_is_that_of_systemd_measure() -> None:
    # Recorded from systemd-measure 257.
    value = "e955009cfbc7e4aba697dc9d0abd5abb7f8b194fa0ff4e90b8daf0bd3fafae93"
    policy = "5f25fe7b2c9077c162f39ee0d521dddea4810db2228998586376662961344a6d"
    assert policy_digest(bytes.fromhex(value)).hex() == policy


def test_sections_are_measured_in_the_order_of_the_stub() -> None:
    digests = {name: hashlib.sha256(name.encode()).digest() for name in (".sbat", ".pcrsig")}
    digests |= {name: hashlib.sha256(name.encode()).digest() for name in (".text", ".linux")}
    assert [name for name, _ in kernel_boot_digests(digests)] == [".linux"] * 2 + [".sbat"] * 2
    assert kernel_boot_digests(digests)[0][1] == hashlib.sha256(b".linux\0").digest()
    assert extend_register([]) == bytes(32)


def test_the_signature_is_of_the_policy(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "pcr.key"
    path.write_bytes(pem(key))
    signer = read_pcr_signer(path)
    text = signer.signature_json(bytes(32))
    assert text == PcrSigner(key).signature_json(bytes(32))
    (entry,) = json.loads(text)["sha256"]
    assert entry["pcrs"] == [11]
    policy = bytes.fromhex(entry["pol"])
    assert policy == policy_digest(bytes(32))
    public = serialization.load_pem_public_key(signer.public_pem())
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(base64.b64decode(entry["sig"]), policy, padding.PKCS1v15(), hashes.SHA256())


def test_other_keys_are_refused(key: rsa.RSAPrivateKey, tmp_path: Path) -> None:
    path = tmp_path / "pcr.key"
    contents = (
        (b"no key", "no private key"),
        (pem(key, b"secret"), "no private key without a passphrase"),
        (pem(rsa.generate_private_key(65537, 1024)), "no RSA key of 2048 bits"),  # noqa: S505
        (pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
    )
    for content, told in contents:
        path.write_bytes(content)
        with pytest.raises(OutputError, match=told) as raised:
            read_pcr_signer(path)
        assert str(raised.value.diagnostics[0].code) == "DM1104"
