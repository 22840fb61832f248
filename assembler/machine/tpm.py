"""The TPM of a machine: a program that emulates one, and where it keeps its state."""

from __future__ import annotations

from pathlib import Path

from assembler.errors import wrap_os_errors
from assembler.machine.backend import TPM_SOCKET, Command
from assembler.machine.companions import Companion
from assembler.tools import require_program


def tpm_companion(state: Path) -> Companion:
    """Return the program for a TPM 2.0 with its state in a directory, which is made."""
    program = require_program("swtpm")
    with wrap_os_errors(state):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    arguments = (
        "socket",
        "--tpm2",
        *("--tpmstate", f"dir={state}"),
        *("--ctrl", f"type=unixio,path={TPM_SOCKET}"),
        # It ends when the machine hangs up.
        "--terminate",
    )
    return Companion("swtpm", Command(program, arguments), TPM_SOCKET)
