"""Waiting until a process has come so far, however busy the machine is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

_TICKS = os.sysconf("SC_CLK_TCK")
_INTERVAL = 0.002


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have used; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) / _TICKS + sum(cpu_seconds(int(c)) for c in children)


def directory_bytes(*directories: Path) -> int:
    """Return the size of all files in the directories."""
    total = 0
    for directory in directories:
        for path in directory.rglob("*"):
            try:
                total += path.lstat().st_size
            except OSError:  # it has just been renamed
                continue
    return total


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    """Wait until the condition holds, or the process has ended; tell which."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(_INTERVAL)
    return True


def wait_for_cpu(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait until a process has used so much more CPU time, or has ended."""
    goal = cpu_seconds(process.pid) + seconds
    while process.poll() is None and cpu_seconds(process.pid) < goal:
        time.sleep(_INTERVAL)
