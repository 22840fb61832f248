"""Verification: whether an image is what its keys have signed, from the firmware to the last block.

    verify(path, keys, predictions)    all checks of a disk, a program or an update set -> Report
    Report, Check, CheckOutcome        the checks by name, each with its outcome and the reason
    read_trusted_keys(directory)       the public parts of a set of keys -> TrustedKeys

Nothing is booted, and no private key is read. All content is hostile: whatever is wrong with it is
a check that failed, and memory stays bounded. What a check cannot know is said, not assumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.verification.images import verify
    from assembler.verification.report import Check, CheckOutcome, Report
    from assembler.verification.trusted_keys import TrustedKeys, read_trusted_keys

_HOMES = {
    "Check": "report",
    "CheckOutcome": "report",
    "Report": "report",
    "TrustedKeys": "trusted_keys",
    "read_trusted_keys": "trusted_keys",
    "verify": "images",
}

__all__ = [
    "Check",
    "CheckOutcome",
    "Report",
    "TrustedKeys",
    "read_trusted_keys",
    "verify",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
