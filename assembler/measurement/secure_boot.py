"""PCR 7: the state of Secure Boot, and what verified each program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.measurement.events import AUTHORITY, VARIABLE, variable_digest
from assembler.measurement.variables import GLOBAL, IMAGE_SECURITY, SHA256, X509, signatures_in
from assembler.tools import EXTRAS

if TYPE_CHECKING:
    from assembler.measurement.events import PredictedLog
    from assembler.measurement.programs import EfiProgram
    from assembler.measurement.variables import SecureBootVariables

STATE = 7
_VENDORS = {"PK": GLOBAL, "KEK": GLOBAL}
_OWNER = 16


def note_variables(log: PredictedLog, variables: SecureBootVariables) -> None:
    """Note the events of the variables, which come before anything is started."""
    state = b"\1" if variables.enabled else b"\0"
    log.add(STATE, VARIABLE, "SecureBoot", variable_digest(GLOBAL, "SecureBoot", state))
    names = ["PK", "KEK", "db", "dbx", *(n for n in ("dbt", "dbr") if n in variables.lists)]
    for name in names:
        digest = variable_digest(_VENDORS.get(name, IMAGE_SECURITY), name, variables.content(name))
        log.add(STATE, VARIABLE, name, digest)
    log.add_separator(STATE)


def note_authority(
    log: PredictedLog, variables: SecureBootVariables, program: EfiProgram, what: str
) -> None:
    """Note which entry of db verifies a program; each entry is measured once."""
    if any(value == program.authenticode for value in _hashes(variables.content("dbx"))):
        log.doubt((STATE, 4), f"firmware refuses {what}: its hash is in dbx")
        return
    entry, why = _authority(variables, program)
    if entry is None:
        log.doubt((STATE, 4), f"firmware refuses {what}: {why}")
        return
    digest = variable_digest(IMAGE_SECURITY, "db", entry)
    known = (e.digest for e in log.events if e.register == STATE and e.type == AUTHORITY)
    if digest not in known:
        log.add(STATE, AUTHORITY, f"db, which verifies {what}", digest)


def _hashes(lists: bytes) -> list[bytes]:
    return [entry[_OWNER:] for kind, entry in signatures_in(lists) if kind == SHA256]


def _authority(variables: SecureBootVariables, program: EfiProgram) -> tuple[bytes | None, str]:
    """Return the entry of db that verifies a program, or None and the reason."""
    entries = list(signatures_in(variables.content("db")))
    signatures = program.signatures()
    if not signatures:
        for kind, entry in entries:
            if kind == SHA256 and entry[_OWNER:] == program.authenticode:
                return entry, ""
        return None, "it is not signed"
    if not any(signature.holds for signature in signatures):
        return None, signatures[0].problem
    certificates = program.certificates()
    revoked = [e[_OWNER:] for kind, e in signatures_in(variables.content("dbx")) if kind == X509]
    if any(one in revoked for one in certificates):
        return None, "its certificate is in dbx"
    for kind, entry in entries:
        if kind == X509 and _verifies(entry[_OWNER:], certificates):
            return entry, ""
    return None, "no certificate in db verifies it"


def _verifies(trusted: bytes, certificates: list[bytes]) -> bool:
    """Tell whether a certificate is among others, or issued one of them."""
    if trusted in certificates:
        return True
    if not EXTRAS["secure-boot"].installed:
        return False
    from cryptography import x509  # noqa: PLC0415
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    for one in certificates:
        try:
            issuer = x509.load_der_x509_certificate(trusted)
            x509.load_der_x509_certificate(one).verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False
