"""Read the console log of a machine as plain text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.machine.backend import CONSOLE_LOG
from assembler.machine.console_text import plain_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.machine.records import RecordedMachine

_TAIL_SIZE = 4096
_POLL_INTERVAL = 0.1
_CHUNK = 65536


def console_text(folder: Path) -> str:
    """Return the whole output of a console, or an empty text without a log."""
    try:
        return plain_text((folder / CONSOLE_LOG).read_bytes())
    except OSError:
        return ""


def console_tail(folder: Path) -> str:
    """Return the last lines of a console's output."""
    try:
        with (folder / CONSOLE_LOG).open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_SIZE))
            data = file.read()
    except OSError:
        return ""
    text = plain_text(data)
    return text.partition("\n")[2] if size > _TAIL_SIZE else text


def read_log(machine: RecordedMachine, *, follow: bool = False) -> Iterator[str]:
    """Yield the output of a machine's console; with `follow`, until the machine ends."""
    path = machine.folder / CONSOLE_LOG
    with wrap_os_errors(machine.folder, "read"), path.open("rb") as file:
        rest = b""
        while True:
            ended = not machine.alive
            while data := file.read(_CHUNK):
                # Whole lines, as a chunk may end inside an escape sequence.
                lines, newline, rest = (rest + data).rpartition(b"\n")
                yield plain_text(lines + newline)
            if ended or not follow:
                break
            time.sleep(_POLL_INTERVAL)
        yield plain_text(rest)
