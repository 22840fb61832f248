"""External programs: their names, versions and installation, finding them, and running them.

TOOLS, Tool                      the table of all programs that Dolmen uses
find_program, require_program    the path of a program on this host, or an error with a hint
program_version                  the version that a program prints
install_command                  the command that installs a Debian package, on any distribution
EXTRAS, Extra, require_extra     libraries for rare tasks, and an error where one is missing
has_new_enough                   whether the distribution's package is new enough
has_subordinate_ids              whether a user has ids that builders without root map
subordinate_ids_command          the command that adds some
run_program, program_error       run a program with limits, and describe its failure
Watchdog, StallLimits            kill a program that neither prints nor computes
Cancellation                     stops the programs that the threads of a run have started
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.tools.cancellation import (
        Cancellation,
        Cancelled,
        current_cancellation,
        without_cancellation,
    )
    from assembler.tools.catalog import (
        TOOLS,
        Tool,
        find_program,
        program_version,
        require_program,
    )
    from assembler.tools.distribution import (
        Distribution,
        has_new_enough,
        host_distribution,
        install_command,
    )
    from assembler.tools.execution import ProcessLimits, ProcessResult, program_error, run_program
    from assembler.tools.extras import EXTRAS, Extra, require_extra
    from assembler.tools.subordinate_ids import (
        has_subordinate_ids,
        subordinate_ids_command,
        user_name,
    )
    from assembler.tools.watchdog import StallLimits, Watchdog, full_disk_of

_HOMES = {
    "Cancellation": "cancellation",
    "Cancelled": "cancellation",
    "Distribution": "distribution",
    "EXTRAS": "extras",
    "Extra": "extras",
    "ProcessLimits": "execution",
    "ProcessResult": "execution",
    "StallLimits": "watchdog",
    "TOOLS": "catalog",
    "Tool": "catalog",
    "Watchdog": "watchdog",
    "current_cancellation": "cancellation",
    "find_program": "catalog",
    "full_disk_of": "watchdog",
    "has_new_enough": "distribution",
    "has_subordinate_ids": "subordinate_ids",
    "host_distribution": "distribution",
    "install_command": "distribution",
    "program_error": "execution",
    "program_version": "catalog",
    "require_extra": "extras",
    "require_program": "catalog",
    "run_program": "execution",
    "subordinate_ids_command": "subordinate_ids",
    "user_name": "subordinate_ids",
    "without_cancellation": "cancellation",
}

__all__ = [
    "EXTRAS",
    "TOOLS",
    "Cancellation",
    "Cancelled",
    "Distribution",
    "Extra",
    "ProcessLimits",
    "ProcessResult",
    "StallLimits",
    "Tool",
    "Watchdog",
    "current_cancellation",
    "find_program",
    "full_disk_of",
    "has_new_enough",
    "has_subordinate_ids",
    "host_distribution",
    "install_command",
    "program_error",
    "program_version",
    "require_extra",
    "require_program",
    "run_program",
    "subordinate_ids_command",
    "user_name",
    "without_cancellation",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
