"""Processes that cannot be taken for others that have their number later."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_HAS_PROC = Path("/proc/self/stat").exists()


@dataclass(frozen=True, slots=True)
class Process:
    """A process that cannot be taken for another one."""

    number: int
    started: str

    @classmethod
    def of(cls, number: int) -> Self:
        """Return the process that has the number now."""
        return cls(number, _start_time(number))

    @property
    def alive(self) -> bool:
        """Tell whether it is still running."""
        return self.number > 0 and _start_time(self.number) == self.started != ""


def _start_time(number: int) -> str:
    if _HAS_PROC:
        try:
            said = Path(f"/proc/{number}/stat").read_text()
        except OSError:
            return ""
        # After the name, which may hold anything: state is the first, start time the twentieth.
        fields = said.rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    try:
        os.kill(number, 0)
    except OSError:
        return ""
    return "running"
