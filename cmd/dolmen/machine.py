"""Run images in virtual machines: the part of the Python API for `dolmen run`."""

from __future__ import annotations

from assembler.machine import (
    CommandIO,
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
    list_services,
    read_log,
    read_service_log,
    run,
    run_command,
    ssh_command,
    start,
)
from assembler.machine import find_machine as find
from assembler.machine import list_machines as list_all
from assembler.machine import stop_machine as stop

__all__ = [
    "CommandIO",
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
    "list_services",
    "read_log",
    "read_service_log",
    "run",
    "run_command",
    "ssh_command",
    "start",
    "stop",
]
