"""What a program that runs machines has to be able to, so that others than QEMU fit in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from assembler.machine.description import Machine

# The names of files in the machine's directory, which its program is started in.
CONSOLE_SOCKET = "console.sock"
CONTROL_SOCKET = "control.sock"
CONSOLE_LOG = "console.log"
VARIABLES = "uefi-variables"
# The directory that a disk is made of.
EFI_FOLDER = "efi"
TPM_SOCKET = "tpm.sock"
SHARE_SOCKET = "share{}.sock"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, to be started in the machine's directory."""

    program: Path
    arguments: tuple[str, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """Return the whole command line."""
        return (str(self.program), *self.arguments)


class Backend(Protocol):
    """A program that runs machines.

    It stops before the first instruction until it is told to go on over CONTROL_SOCKET, serves the
    serial console at CONSOLE_SOCKET, and keeps all that the console says in CONSOLE_LOG.
    """

    @property
    def name(self) -> str:
        """Return what the backend is called on the command line."""

    def command(self, machine: Machine) -> Command:
        """Return what starts the machine."""
