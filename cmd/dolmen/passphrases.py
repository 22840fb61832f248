"""Read the passphrases of keys from the environment or the terminal."""

from __future__ import annotations

import getpass
import os
import sys

from assembler.codes import usage
from assembler.errors import UsageError
from assembler.printable import printable

VARIABLE = "DOLMEN_SECURE_BOOT_PASSPHRASE"


def read_passphrase(name: str) -> str:
    """Return the passphrase of a key."""
    passphrase = os.environ.get(VARIABLE)
    if passphrase is not None:
        return passphrase
    if not sys.stdin.isatty():
        raise UsageError.of(
            usage.BAD_OPTION,
            f"{name} is encrypted, and standard input is no terminal to read a passphrase from",
            f"set {VARIABLE} in the environment",
        )
    return getpass.getpass(f"Passphrase of {printable(name)}: ")


def read_new_passphrase() -> str:
    """Return the passphrase for new keys, which is typed twice."""
    first = read_passphrase("the new keys")
    if not first:
        raise UsageError.of(usage.BAD_OPTION, "the passphrase is empty")
    if VARIABLE not in os.environ and getpass.getpass("Repeat the passphrase: ") != first:
        raise UsageError.of(usage.BAD_OPTION, "the two passphrases differ")
    return first
