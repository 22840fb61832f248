"""Programs for UEFI: their signatures, and what a unified kernel image says of its system."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.inspection import initrd_contents
from assembler.measurement import EfiProgram
from assembler.media import (
    KERNEL_BOOT,
    detached_signers,
    extend_register,
    kernel_boot_digests,
    policy_digest,
)
from assembler.verification.report import FailedCheckError
from assembler.verification.trusted_keys import rsa_fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from assembler.inspection import DataSource
    from assembler.verification.report import Checks
    from assembler.verification.trusted_keys import TrustedKeys

_ROOT_SIGNATURE = "verity/root.p7s"
_ROOT_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_TEXT = 1 << 16
# Those that decide what starts; a stub takes the first of a name.
_SINGLE = (".linux", ".initrd", ".cmdline", ".osrel", ".pcrpkey", ".pcrsig")
_SIGNED, _LINE, _ROOT_SIGNED, _POLICY = (
    "signature",
    "command line",
    "signature of the root hash",
    "policy of PCR 11",
)


@dataclass(frozen=True, slots=True)
class SystemProgram:
    """What a unified kernel image says of its system."""

    part: str
    # None if it has no verified root filesystem.
    root_hash: bytes | None
    # The names of os-release with their values.
    release: Mapping[str, str]


def check_program(
    checks: Checks, part: str, source: DataSource, keys: TrustedKeys
) -> SystemProgram | None:
    """Check a program; return what it says, if it is a unified kernel image."""
    program: EfiProgram | None = None
    with checks.failing(part, _SIGNED):
        program = EfiProgram.read(part, source)
        checks.ok(part, _SIGNED, _signer(program, keys))
    if program is None or not program.is_unified:
        return None
    found: SystemProgram | None = None
    with checks.failing(part, _LINE):
        for name in _SINGLE:
            if sum(s.name == name for s in program.headers.sections) > 1:
                raise FailedCheckError(f"it has several sections {name}")
        line = program.small(".cmdline", _MAX_TEXT).split(b"\0")[0].decode()
        release = _os_release(program.small(".osrel", _MAX_TEXT))
        found = SystemProgram(part, _root_hash(line), release)
        checks.ok(part, _LINE, line)
    if found is not None and found.root_hash is not None:
        with checks.failing(part, _ROOT_SIGNED):
            checks.ok(part, _ROOT_SIGNED, _root_signer(program, found.root_hash, keys))
    _check_policy(checks, program, keys)
    return found


def _signer(program: EfiProgram, keys: TrustedKeys) -> str:
    signatures = program.signatures()
    if not signatures:
        raise FailedCheckError("it is not signed")
    for one in signatures:
        if one.holds and one.fingerprint == keys.db:
            return f"by {one.subject}, the certificate db"
    first = signatures[0]
    if not first.holds:
        raise FailedCheckError(first.problem)
    raise FailedCheckError(f"it is signed by {first.subject}, which is not the certificate db")


def _root_hash(line: str) -> bytes | None:
    values = {word.partition("=")[2] for word in line.split() if word.startswith("roothash=")}
    if not values:
        return None
    if len(values) > 1 or not _ROOT_HASH.fullmatch(value := values.pop()):
        raise FailedCheckError("it has several root hashes, or one that is no SHA-256")
    return bytes.fromhex(value)


def _os_release(data: bytes) -> dict[str, str]:
    pairs = (line.partition("=") for line in data.decode().splitlines() if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def _root_signer(program: EfiProgram, root_hash: bytes, keys: TrustedKeys) -> str:
    initrd = program.window(".initrd")
    contents = {} if initrd is None else initrd_contents(initrd, frozenset({_ROOT_SIGNATURE}))
    if _ROOT_SIGNATURE not in contents:
        raise FailedCheckError(f"its initrd has no {_ROOT_SIGNATURE}")
    signers = detached_signers(contents[_ROOT_SIGNATURE], root_hash.hex().encode())
    if not signers:
        raise FailedCheckError("it is not that of the root hash in the command line")
    if keys.db not in signers:
        raise FailedCheckError("it is not by the key of the certificate db")
    return f"{root_hash.hex()}, by the certificate db"


def _check_policy(checks: Checks, program: EfiProgram, keys: TrustedKeys) -> None:
    part = program.path
    if program.headers.section(".pcrsig") is None:
        checks.unchecked(part, _POLICY, "it has no signed policy (.pcrsig)")
    elif keys.pcr is None:
        checks.unchecked(part, _POLICY, "the keys have no pcr.pub")
    else:
        with checks.failing(part, _POLICY):
            checks.ok(part, _POLICY, _verified_policy(program, keys.pcr))


def _verified_policy(program: EfiProgram, key: RSAPublicKey) -> str:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import padding  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
        load_pem_public_key,
    )

    if load_pem_public_key(program.small(".pcrpkey", _MAX_TEXT)) != key:
        raise FailedCheckError(".pcrpkey is not the key in pcr.pub")
    digests = kernel_boot_digests(program.section_digests)
    value = extend_register(digest for _, digest in digests)
    policy = policy_digest(value)
    entries = json.loads(program.small(".pcrsig", _MAX_TEXT).rstrip(b"\0"))["sha256"]
    entry = next((e for e in entries if e["pol"] == policy.hex()), None)
    if entry is None:
        raise FailedCheckError(f"it is for another value of PCR 11 than {value.hex()}")
    if entry["pkfp"] != rsa_fingerprint(key) or entry["pcrs"] != [KERNEL_BOOT]:
        raise FailedCheckError("it names another key, or other registers")
    try:
        key.verify(
            base64.b64decode(entry["sig"], validate=True),
            policy,
            padding.PKCS1v15(),
            hashes.SHA256(),
        )
    except InvalidSignature as error:
        raise FailedCheckError("the signature is not by the key in pcr.pub") from error
    return f"PCR 11 is {value.hex()}"


def digest_of(source: DataSource) -> str:
    """Return the SHA-256 of a source, in hexadecimal digits."""
    hasher = hashlib.sha256()
    at = 0
    while data := source.read(at, 1 << 20):
        hasher.update(data)
        at += len(data)
    return hasher.hexdigest()
