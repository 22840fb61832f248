"""The protocol of backends, the programs that run VMs, and the names of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.machine.description import Machine

# Names of files in the machine's directory, the working directory of the backend's program.
CONSOLE_SOCKET = "console.sock"
CONTROL_SOCKET = "control.sock"
CONSOLE_LOG = "console.log"
VARIABLES = "uefi-variables"
# The directory that QEMU presents as a FAT disk.
EFI_FOLDER = "efi"
TPM_SOCKET = "tpm.sock"
# A port for each session with the agent in the guest.
AGENT_SOCKET = "agent{}.sock"
AGENT_PORTS = 4
AGENT_PORT_NAME = "org.dolmen.agent.{}"
SHARE_SOCKET = "share{}.sock"


@dataclass(frozen=True, slots=True)
class Command:
    """A program with its arguments, to be started in the machine's directory."""

    program: Path
    arguments: tuple[str, ...]

    @property
    def argv(self) -> tuple[str, ...]:
        """Return the whole command line."""
        return (str(self.program), *self.arguments)


class Backend(Protocol):
    """A program that runs machines.

    It is paused before the first instruction until it is resumed over CONTROL_SOCKET. It serves the
    serial console at CONSOLE_SOCKET, and writes the console's output to CONSOLE_LOG. The guest has
    AGENT_PORTS ports of virtio-serial, which are served at AGENT_SOCKET.
    """

    @property
    def name(self) -> str:
        """Return the name of the backend on the command line."""

    def command(self, machine: Machine) -> Command:
        """Return the command that starts the machine."""
