"""External programs: their names, versions and installation, finding them, and running them.

TOOLS, Tool                      the table of all programs that Dolmen uses
find_program, require_program    the path of a program on this host, or an error with a hint
program_version                  the version that a program prints
install_command                  the command that installs a Debian package
run_program, program_error       run a program with limits, and describe its failure
Watchdog, StallLimits            kill a program that neither prints nor computes
Cancellation                     stops the programs that the threads of a run have started
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.tools.cancellation import Cancellation, Cancelled, without_cancellation
    from assembler.tools.catalog import (
        TOOLS,
        Tool,
        find_program,
        install_command,
        program_version,
        require_program,
    )
    from assembler.tools.execution import ProcessLimits, ProcessResult, program_error, run_program
    from assembler.tools.watchdog import StallLimits, Watchdog, full_disk_of

_HOMES = {
    "Cancellation": "cancellation",
    "Cancelled": "cancellation",
    "ProcessLimits": "execution",
    "ProcessResult": "execution",
    "StallLimits": "watchdog",
    "TOOLS": "catalog",
    "Tool": "catalog",
    "Watchdog": "watchdog",
    "find_program": "catalog",
    "full_disk_of": "watchdog",
    "install_command": "catalog",
    "program_error": "execution",
    "program_version": "catalog",
    "require_program": "catalog",
    "run_program": "execution",
    "without_cancellation": "cancellation",
}

__all__ = [
    "TOOLS",
    "Cancellation",
    "Cancelled",
    "ProcessLimits",
    "ProcessResult",
    "StallLimits",
    "Tool",
    "Watchdog",
    "find_program",
    "full_disk_of",
    "install_command",
    "program_error",
    "program_version",
    "require_program",
    "run_program",
    "without_cancellation",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
