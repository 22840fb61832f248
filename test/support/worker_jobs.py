"""Jobs for worker processes, which a new interpreter can load."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path

lock = threading.Lock()


@dataclass(frozen=True)
class WriteUnderLock:
    """Write a file while no other thread holds the lock."""

    folder: Path

    def __call__(self, number: int) -> None:
        with lock:
            (self.folder / str(number)).write_text(str(os.getpid()))


@dataclass(frozen=True)
class Fail:
    """Raise an error."""

    def __call__(self, number: int) -> None:
        raise OutputError.of(codes.TOO_LARGE, f"job {number} is much too large")
