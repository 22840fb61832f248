"""Identify a process by its PID and start time, as the kernel reuses PIDs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True)
class Process:
    """A process, identified by its PID (`number`) and start time."""

    number: int
    started: str

    @classmethod
    def of(cls, number: int) -> Self:
        """Return the process that has the PID now."""
        return cls(number, _start_time(number))

    @property
    def alive(self) -> bool:
        """Tell whether it is still running."""
        return self.number > 0 and _start_time(self.number) == self.started != ""


def _start_time(number: int) -> str:
    if _HAS_PROC:
        try:
            stat = Path(f"/proc/{number}/stat").read_text()
        except OSError:
            return ""
        # After the name, which may contain anything: field 1 is the state, 20 the start time.
        fields = stat.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    try:
        os.kill(number, 0)
    except OSError:
        return ""
    return "running"
