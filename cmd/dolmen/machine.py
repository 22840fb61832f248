"""Run images in virtual machines: the part of the Python API for `dolmen run`."""

from __future__ import annotations

from assembler.machine import (
    ConsoleIO,
    HostFinding,
    RecordedMachine,
    RunningMachine,
    RunOptions,
    RunOutcome,
    RunResult,
    StopOutcome,
    attach,
    check_host,
    create_metadata_cd,
    read_log,
    run,
    ssh_command,
    start,
)
from assembler.machine import find_machine as find
from assembler.machine import list_machines as list_all
from assembler.machine import stop_machine as stop

__all__ = [
    "ConsoleIO",
    "HostFinding",
    "RecordedMachine",
    "RunOptions",
    "RunOutcome",
    "RunResult",
    "RunningMachine",
    "StopOutcome",
    "attach",
    "check_host",
    "create_metadata_cd",
    "find",
    "list_all",
    "read_log",
    "run",
    "ssh_command",
    "start",
    "stop",
]
