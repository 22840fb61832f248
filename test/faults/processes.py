"""Whole processes with a time limit, and the processes that they leave."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PR_SET_CHILD_SUBREAPER = 36
# Processes of a killed command notice at once that it is gone, but need the processor to do so.
_GRACE = 3.0


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its status is negative if a signal ended it."""

    words: tuple[str, ...]
    status: int
    out: bytes
    err: bytes
    seconds: float
    hung: bool = False
    # The command lines of processes that it left.
    survivors: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """Return all that was printed."""
        return (self.out + self.err).decode("utf-8", "replace")


def adopt_orphans(*, on: bool = True) -> None:
    """Become the parent of all descendants whose parent ends, so that none is lost."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0)


def run(
    words: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    limit: float,
    disturb: Callable[[subprocess.Popen[bytes]], None] | None = None,
) -> Ended:
    """Run a command in a session of its own; `disturb` gets the running process."""
    mine = set(_children())
    beginning = time.monotonic()
    with subprocess.Popen(
        list(words),
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        # Not files, to which limits of the command would apply.
        out, err = _Reader(process.stdout), _Reader(process.stderr)
        if disturb is not None:
            disturb(process)
        hung = False
        try:
            process.wait(max(0.1, beginning + limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            hung = True
            send(process.pid, signal.SIGKILL)
            process.wait()
        seconds = time.monotonic() - beginning
        survivors = _survivors(mine, 0.0 if hung else _GRACE)
        return Ended(
            tuple(words),
            process.returncode,
            out.content(),
            err.content(),
            seconds,
            hung,
            survivors,
        )


def send(group: int, number: int, *, to_all: bool = True) -> None:
    """Send a signal to a process, or to its whole group."""
    with contextlib.suppress(ProcessLookupError):
        if to_all:
            os.killpg(group, number)
        else:
            os.kill(group, number)


class _Reader(threading.Thread):
    """Reads a pipe to its end, which comes when no process of the command is left."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe, self._parts = pipe, list[bytes]()
        self.start()

    def run(self) -> None:
        """Read."""
        while part := os.read(self._pipe.fileno(), 1 << 16):
            self._parts.append(part)

    def content(self) -> bytes:
        """Return all that was read."""
        self.join(5.0)
        return b"".join(self._parts)


def _survivors(mine: set[int], grace: float) -> tuple[str, ...]:
    """Wait for the processes that a command left; kill and return those that stay."""
    until = time.monotonic() + grace
    while left := [pid for pid in _children() if pid not in mine and not _reaped(pid)]:
        if time.monotonic() >= until:
            found = tuple(_command_line(pid) for pid in left)
            for pid in left:
                send(pid, signal.SIGKILL, to_all=False)
            for pid in left:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            return (*found, *_survivors(mine, 0.0))
        time.sleep(0.01)
    return ()


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _children() -> list[int]:
    """Return the children of this process, adopted ones included."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def _command_line(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return f"process {pid}"
    return b" ".join(words).decode("utf-8", "replace").strip()[:200]
