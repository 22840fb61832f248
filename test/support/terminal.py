"""The command line on a terminal of a given width, with keys that a person presses."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from support.cli import Dolmen

_LIMIT = 60.0
_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True)
class Typed:
    """What a command wrote to its terminal, and its exit code."""

    returncode: int
    raw: str

    @property
    def text(self) -> str:
        """Return the text without control sequences."""
        return _SEQUENCE.sub("", self.raw).replace("\r", "")

    @property
    def last_line(self) -> str:
        """Return the last line, without what was drawn over."""
        line = self.raw.rstrip("\r\n").rpartition("\n")[2]
        return _SEQUENCE.sub("", line).rpartition("\r")[2]


def run_on_terminal(
    dolmen: Dolmen,
    *words: str | Path,
    cwd: Path,
    keys: str = "",
    prompt: str = "",
    columns: int = 80,
    env: dict[str, str] | None = None,
    stdout: int | None = None,
) -> Typed:
    """Run `dolmen WORDS` on a terminal; `keys` are pressed when it has written `prompt`.

    Standard output is the terminal, too, or another file.
    """
    environment = dolmen.environment({"TERM": "xterm", **(env or {})})
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = os.fork()
    if process == 0:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for handle in (0, 1, 2):
            os.dup2(slave if handle != 1 or stdout is None else stdout, handle)
        os.chdir(cwd)
        command = [sys.executable, "-m", "dolmen", *map(str, words)]
        os.execve(sys.executable, command, environment)  # noqa: S606
    os.close(slave)
    try:
        raw = _converse(master, keys, prompt)
    finally:
        os.close(master)
    return Typed(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), raw)


def _converse(master: int, keys: str, prompt: str) -> str:
    raw = b""
    end = time.monotonic() + _LIMIT
    while time.monotonic() < end:
        if keys and prompt.encode() in raw:
            os.write(master, keys.encode())
            keys = ""
        if not select.select([master], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # the command has closed the terminal
            break
        if not piece:
            break
        raw += piece
    else:
        raise AssertionError(f"the command goes on: {raw.decode(errors='replace')}")
    return raw.decode("utf-8", "replace")
