"""An independent reader of enclave image files, from their specification.

It uses nothing of the library. The specification is the README of
https://github.com/aws/aws-nitro-enclaves-image-format (version 4 of the format).
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

INVALID, KERNEL, CMDLINE, RAMDISK, SIGNATURE, METADATA = range(6)


@dataclass
class Enclave:
    """An image taken apart."""

    flags: int
    sections: list[tuple[int, bytes]]
    metadata: dict[str, Any]
    # In hexadecimal digits.
    pcrs: dict[str, str] = field(default_factory=dict)

    def all_of(self, kind: int) -> list[bytes]:
        """Return the sections of a kind."""
        return [data for found, data in self.sections if found == kind]


def number(data: bytes, at: int, size: int) -> int:
    """Return a number of the file."""
    assert at + size <= len(data), "the file is cut short"
    return int.from_bytes(data[at : at + size], "big")


def read_enclave(data: bytes) -> Enclave:
    """Take an image apart, and check everything that the specification says of it."""
    assert data[:4] == bytes([0x2E, 0x65, 0x69, 0x66])
    assert number(data, 4, 2) == 4
    flags = number(data, 6, 2)
    count = number(data, 0x1A, 2)
    assert 2 <= count <= 32
    assert number(data, 0x18, 2) == 0
    assert number(data, 0x21C, 4) == 0
    sections = []
    at = 0x224
    for index in range(32):
        offset, size = (number(data, start + 8 * index, 8) for start in (0x1C, 0x11C))
        if index >= count:
            assert (offset, size) == (0, 0)
            continue
        assert offset == at
        kind = number(data, at, 2)
        assert number(data, at + 2, 2) == 0
        assert number(data, at + 4, 8) == size
        at += 12 + size
        assert at <= len(data), "the file is cut short"
        sections.append((kind, data[at - size : at]))
    assert at == len(data)
    assert number(data, 0x220, 4) == zlib.crc32(data[:0x220] + data[0x224:])
    found = Enclave(flags, sections, {})
    for kind, most in ((KERNEL, 1), (CMDLINE, 1), (METADATA, 1), (SIGNATURE, 1), (RAMDISK, 28)):
        assert len(found.all_of(kind)) <= most
    assert not found.all_of(INVALID)
    kinds = [kind for kind, _ in sections]
    assert {KERNEL, CMDLINE, METADATA} <= set(kinds)
    assert all(kinds.index(KERNEL) < n for n, kind in enumerate(kinds) if kind == RAMDISK)
    found.metadata.update(json.loads(found.all_of(METADATA)[0]))
    _check_metadata(found.metadata)
    _measure(found)
    return found


def _check_metadata(metadata: dict[str, Any]) -> None:
    """Check the metadata by its schema; CustomMetadata is what the tool of the format needs."""
    build = ("BuildTime", "BuildTool", "BuildToolVersion", "OperatingSystem", "KernelVersion")
    assert set(metadata) == {
        *("ImageName", "ImageVersion", "BuildMetadata", "DockerInfo", "CustomMetadata")
    }
    assert set(metadata["BuildMetadata"]) == set(build)
    texts = [metadata["ImageName"], metadata["ImageVersion"], *metadata["BuildMetadata"].values()]
    assert all(isinstance(text, str) for text in texts)
    assert all(isinstance(metadata[key], dict) for key in ("DockerInfo", "CustomMetadata"))


def _register(*contents: bytes) -> str:
    digest = hashlib.sha384(b"".join(contents)).digest()
    return hashlib.sha384(b"\0" * 48 + digest).hexdigest()


def _measure(found: Enclave) -> None:
    measured = [data for kind, data in found.sections if kind in (KERNEL, CMDLINE, RAMDISK)]
    others = found.all_of(RAMDISK)[1:]
    found.pcrs["PCR0"] = _register(*measured)
    found.pcrs["PCR1"] = _register(*(data for data in measured if data not in others))
    found.pcrs["PCR2"] = _register(*others)
    for section in found.all_of(SIGNATURE):
        assert len(section) <= 32768
        certificate = _check_signature(section, bytes.fromhex(found.pcrs["PCR0"]))
        found.pcrs["PCR8"] = _register(certificate.public_bytes(serialization.Encoding.DER))


def _check_signature(section: bytes, pcr0: bytes) -> x509.Certificate:
    """Check the signature of PCR 0 with the certificate beside it."""
    (pair,) = read_cbor(section)
    assert list(pair) == ["signing_certificate", "signature"]
    assert all(isinstance(pair[key], list) for key in pair)
    certificate = x509.load_pem_x509_certificate(bytes(pair["signing_certificate"]))
    protected, unprotected, payload, signature = read_cbor(bytes(pair["signature"]))
    assert unprotected == {}
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    algorithm, digest, half = {
        "secp256r1": (-7, hashes.SHA256(), 32),
        "secp384r1": (-35, hashes.SHA384(), 48),
        "secp521r1": (-36, hashes.SHA512(), 66),
    }[key.curve.name]
    assert read_cbor(protected) == {1: algorithm}
    signed = read_cbor(payload)
    assert list(signed) == ["register_index", "register_value"]
    assert signed == {"register_index": 0, "register_value": list(pcr0)}
    assert len(signature) == 2 * half
    # An array of "Signature1", the protected header, no further data, and the payload.
    structure = b"\x84\x6aSignature1" + _string(protected) + b"\x40" + _string(payload)
    first, second = (int.from_bytes(signature[n : n + half], "big") for n in (0, half))
    key.verify(utils.encode_dss_signature(first, second), structure, ec.ECDSA(digest))
    return certificate


def _string(data: bytes) -> bytes:
    size = len(data)
    return (bytes([0x40 | size]) if size < 24 else bytes([0x58, size])) + data


def read_cbor(data: bytes) -> Any:
    """Return the value of CBOR data; nothing may follow it."""
    value, rest = _value(data)
    assert not rest
    return value


def _value(data: bytes) -> tuple[Any, bytes]:
    kind, small = divmod(data[0], 32)
    assert small < 28
    size = 0 if small < 24 else 1 << small - 24
    count = int.from_bytes(data[1 : 1 + size], "big") if size else small
    rest = data[1 + size :]
    match kind:
        case 0:
            return count, rest
        case 1:
            return -1 - count, rest
        case 2:
            assert count <= len(rest)
            return rest[:count], rest[count:]
        case 3:
            return rest[:count].decode(), rest[count:]
        case 4:
            items = []
            for _ in range(count):
                item, rest = _value(rest)
                items.append(item)
            return items, rest
        case 5:
            pairs = {}
            for _ in range(count):
                key, rest = _value(rest)
                pairs[key], rest = _value(rest)
            return pairs, rest
    raise AssertionError(f"a value of the kind {kind}")
