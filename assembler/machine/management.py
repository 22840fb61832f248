"""List, find and stop VMs, and log in over ssh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError
from assembler.machine.options import STOP_TIMEOUT
from assembler.machine.program import StopOutcome, stop_program
from assembler.machine.records import MachineDirectory, RecordedMachine, default_state
from assembler.machine.ssh import ssh_argv
from assembler.tools import require_program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def list_machines(state: Path | None = None) -> list[RecordedMachine]:
    """Return all machines that have a run record, without stale ones."""
    machines = MachineDirectory(state or default_state())
    machines.remove_stale()
    return list(machines.all())


def find_machine(name: str = "", state: Path | None = None) -> RecordedMachine:
    """Return the machine of a name, or the only one."""
    return MachineDirectory(state or default_state()).find(name)


def stop_machine(machine: RecordedMachine, timeout: float = STOP_TIMEOUT) -> StopOutcome:
    """Stop a machine of another process, and remove its files.

    The guest is asked to shut down first; after the timeout the machine is killed.
    """
    outcome = StopOutcome.ENDED_BEFORE
    if machine.alive:
        outcome = stop_program(machine.folder, machine.record.process, timeout)
    owner = machine.record.owner
    if owner is None or not owner.alive:
        machines = MachineDirectory.of(machine)
        machines.release_resources(machine)
        machines.remove(machine.folder)
    return outcome


def ssh_command(machine: RecordedMachine, command: Sequence[str] = ()) -> list[str]:
    """Return the command line that logs in to a machine with ssh.

    `command` runs in the guest instead of a shell; options of ssh may precede it.
    """
    program = require_program("ssh")
    record = machine.record
    if not record.ssh or not machine.alive:
        problem = "has ended" if not machine.alive else "was not started with --ssh"
        raise MachineError.of(codes.SSH_UNAVAILABLE, f"{record.name} {problem}")
    return [str(program), *ssh_argv(machine.folder, record.ssh, command)[1:]]
