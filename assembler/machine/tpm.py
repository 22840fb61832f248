"""The emulated TPM of a VM: swtpm and the directory of its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.machine.backend import TPM_SOCKET, Command
from assembler.machine.helper_processes import HelperProcess
from assembler.tools import require_program

if TYPE_CHECKING:
    from pathlib import Path


def swtpm_process(state: Path) -> HelperProcess:
    """Return swtpm as a TPM 2.0 with its state in a directory, which is created."""
    program = require_program("swtpm")
    with wrap_os_errors(state):
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    arguments = (
        "socket",
        "--tpm2",
        *("--tpmstate", f"dir={state}"),
        *("--ctrl", f"type=unixio,path={TPM_SOCKET}"),
        # It ends when QEMU closes the connection.
        "--terminate",
    )
    return HelperProcess("swtpm", Command(program, arguments), TPM_SOCKET)
