"""Passphrases of keys, from the environment or the terminal."""

from __future__ import annotations

import getpass
import os
import sys

from assembler.codes import usage
from assembler.errors import UsageError

VARIABLE = "DOLMEN_SECURE_BOOT_PASSPHRASE"


def passphrase(what: str) -> str:
    """Return the passphrase of a key."""
    given = os.environ.get(VARIABLE)
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{what} is encrypted, and there is no terminal to ask for its passphrase",
            f"set {VARIABLE} in the environment",
        )
    return getpass.getpass(f"Passphrase of {what}: ")


def new_passphrase() -> str:
    """Return the passphrase for new keys; it is typed twice."""
    first = passphrase("the new keys")
    if not first:
        raise UsageError.of(usage.BAD_OPTION, "the passphrase is empty")
    if VARIABLE not in os.environ and getpass.getpass("Repeat the passphrase: ") != first:
        raise UsageError.of(usage.BAD_OPTION, "the two passphrases differ")
    return first
