"""Signatures of archives: what a keyring vouches for, and nothing else of what was fetched."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.debian.engine import KEYRING_HINT, UNTRUSTED_ARCHIVE_HINT
from assembler.errors import PackageError, wrap_os_errors
from assembler.tools import run_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pysequoia import Cert


def verify_inline_signature(data: bytes, keyrings: Sequence[Path], what: str) -> bytes:
    """Return the part of a text that its own signature (as of InRelease) covers."""
    return _verify(data, None, keyrings, what)


def verify_detached_signature(
    data: bytes, signature: bytes, keyrings: Sequence[Path], what: str
) -> None:
    """Check a text against a signature in a file of its own (as Release.gpg)."""
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
        import pysequoia  # noqa: F401, PLC0415 - there are none for some architectures
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
                packages.NO_KEYRING, f"{keyring} is no keyring: {_first_line(error)}"
            ) from error
    asked: list[str] = []

    def known(ids: list[str]) -> list[Cert]:
        asked.extend(ids)
        return certs

    try:
        detached = Sig.from_bytes(signature) if signature is not None else None
        found = verify(bytes=data, store=known, signature=detached)
    except RuntimeError as error:
        raise _signature_error(what, _first_line(error), asked, certs) from error
    if not found.valid_sigs:
        raise _signature_error(what, "no valid signatures found", asked, certs)
    return data if signature is not None else bytes(found.bytes or b"")


def _signature_error(
    what: str, why: str, asked: Sequence[str], certs: Sequence[Cert]
) -> PackageError:
    if not asked:
        return PackageError.of(
            packages.BAD_SIGNATURE,
            f"{what} is not signed as an archive should be: {why}",
            UNTRUSTED_ARCHIVE_HINT,
        )
    now = datetime.now(UTC)
    late = [c.fingerprint for c in certs if c.expiration is not None and c.expiration < now]
    remarks = [f"expired is the key {fingerprint}" for fingerprint in late]
    return PackageError.of(
        packages.BAD_SIGNATURE,
        f"the signature of {what} does not hold: {why.rstrip('.')}; it says it is of the key "
        + ", ".join(dict.fromkeys(asked)),
        UNTRUSTED_ARCHIVE_HINT,
        *remarks,
        KEYRING_HINT,
    )


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def _verify_with_gpgv(
    data: bytes, signature: bytes | None, keyrings: Sequence[Path], what: str
) -> bytes:
    program = tools.require_program("gpgv")
    options = [word for path in keyrings for word in ("--keyring", str(path.absolute()))]
    with tempfile.TemporaryDirectory() as directory:
        signed, detached = Path(directory, "signed"), Path(directory, "signature")
        signed.write_bytes(data)
        if signature is None:
            files = ["--output", "-", str(signed)]
        else:
            detached.write_bytes(signature)
            files = [str(detached), str(signed)]
        # An empty home: what somebody trusts otherwise has no say.
        command: tuple[str | Path, ...] = (program, "--homedir", directory, *options, *files)
        outcome = run_program(command, {**os.environ, "LC_ALL": "C"})
    if outcome.status:
        lines = [line.removeprefix("gpgv: ") for line in outcome.errors.splitlines()]
        raise PackageError.of(
            packages.BAD_SIGNATURE,
            f"the signature of {what} does not hold: {'; '.join(lines)}",
            UNTRUSTED_ARCHIVE_HINT,
            KEYRING_HINT,
        )
    return outcome.output if signature is None else data
