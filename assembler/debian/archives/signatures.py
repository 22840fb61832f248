"""Verify the signatures of archives with pysequoia or gpgv."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.debian.engine_protocol import KEYRING_HINT, UNTRUSTED_ARCHIVE_HINT
from assembler.errors import PackageError, wrap_os_errors
from assembler.scratch_directories import scratch_directory
from assembler.tools import run_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pysequoia import Cert


def verify_inline_signature(data: bytes, keyrings: Sequence[Path], what: str) -> bytes:
    """Return the signed text of a clearsigned file (InRelease)."""
    return _verify(data, None, keyrings, what)


def verify_detached_signature(
    data: bytes, signature: bytes, keyrings: Sequence[Path], what: str
) -> None:
    """Verify a file with a detached signature (Release.gpg)."""
    _verify(data, signature, keyrings, what)


def _verify(data: bytes, signature: bytes | None, keyrings: Sequence[Path], what: str) -> bytes:
    for keyring in keyrings:
        if not keyring.is_file():
            raise PackageError.of(
                packages.NO_KEYRING,
                f"the signature of {what} cannot be checked: there is no keyring {keyring}",
                "install debian-archive-keyring, or name a keyring with --debian-keyring",
            )
    try:
        import pysequoia  # noqa: F401, PLC0415 - no wheels for some architectures
    except ImportError:
        return _verify_with_gpgv(data, signature, keyrings, what)
    return _verify_with_sequoia(data, signature, keyrings, what)


def _verify_with_sequoia(
    data: bytes, signature: bytes | None, keyrings: Sequence[Path], what: str
) -> bytes:
    from pysequoia import Cert, Sig, verify  # noqa: PLC0415

    certs: list[Cert] = []
    for keyring in keyrings:
        try:
            with wrap_os_errors(keyring, "read"):
                certs += Cert.split_bytes(keyring.read_bytes())
        except RuntimeError as error:
            raise PackageError.of(
                packages.NO_KEYRING, f"{keyring} is not a keyring: {_first_line(error)}"
            ) from error
    key_ids: list[str] = []

    def lookup(ids: list[str]) -> list[Cert]:
        key_ids.extend(ids)
        return certs

    try:
        detached = Sig.from_bytes(signature) if signature is not None else None
        verified = verify(bytes=data, store=lookup, signature=detached)
    except RuntimeError as error:
        raise _signature_error(what, _first_line(error), key_ids, certs) from error
    if not verified.valid_sigs:
        raise _signature_error(what, "no valid signatures found", key_ids, certs)
    return data if signature is not None else bytes(verified.bytes or b"")


def _signature_error(
    what: str, reason: str, key_ids: Sequence[str], certs: Sequence[Cert]
) -> PackageError:
    if not key_ids:
        return PackageError.of(
            packages.BAD_SIGNATURE,
            f"{what} has no signature of an archive: {reason}",
            UNTRUSTED_ARCHIVE_HINT,
        )
    now = datetime.now(UTC)
    expired = [c.fingerprint for c in certs if c.expiration is not None and c.expiration < now]
    remarks = [f"the key {fingerprint} has expired" for fingerprint in expired]
    return PackageError.of(
        packages.BAD_SIGNATURE,
        f"the signature of {what} is not valid: {reason.rstrip('.')}; it names the key "
        + ", ".join(dict.fromkeys(key_ids)),
        UNTRUSTED_ARCHIVE_HINT,
        *remarks,
        KEYRING_HINT,
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _binary_keyring(keyring: Path, scratch: Path) -> Path:
    """Return the path of the keyring without armor, which gpgv does not read."""
    with wrap_os_errors(keyring, "read"):
        text = keyring.read_bytes()
    if not text.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        return keyring.absolute()
    lines = text.partition(b"-----END")[0].replace(b"\r\n", b"\n").splitlines()
    # An empty line ends the headers; the last line is a checksum.
    body = lines[lines.index(b"") :] if b"" in lines else []
    encoded = b"".join(line for line in body if not line.startswith(b"="))
    try:
        scratch.write_bytes(base64.b64decode(encoded))
    except ValueError as error:
        message = f"{keyring} is not a keyring: its armor is broken"
        raise PackageError.of(packages.NO_KEYRING, message) from error
    return scratch


def _verify_with_gpgv(
    data: bytes, signature: bytes | None, keyrings: Sequence[Path], what: str
) -> bytes:
    program = tools.require_program("gpgv")
    options: list[str] = []
    with scratch_directory() as directory:
        signed, detached = directory / "signed", directory / "signature"
        for number, path in enumerate(keyrings):
            options += ["--keyring", str(_binary_keyring(path, directory / f"{number}.gpg"))]
        signed.write_bytes(data)
        if signature is None:
            files = ["--output", "-", str(signed)]
        else:
            detached.write_bytes(signature)
            files = [str(detached), str(signed)]
        # An empty home directory: the user's own keyring must not count.
        command: tuple[str | Path, ...] = (program, "--homedir", directory, *options, *files)
        result = run_program(command, {**os.environ, "LC_ALL": "C"})
    if result.status:
        lines = [line.removeprefix("gpgv: ") for line in result.errors.splitlines()]
        raise PackageError.of(
            packages.BAD_SIGNATURE,
            f"the signature of {what} is not valid: {'; '.join(lines)}",
            UNTRUSTED_ARCHIVE_HINT,
            KEYRING_HINT,
        )
    return result.output if signature is None else data
