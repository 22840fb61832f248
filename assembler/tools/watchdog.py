"""A watchdog for external programs: kills those that neither print nor compute."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import host
from assembler.disk_space import is_full
from assembler.errors import HostError, disk_full_error
from assembler.tools.cancellation import kill_process_group

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

_PROC = Path("/proc")
# A program that only polls uses less than this part of a processor; a slow one uses more.
_LEAST_LOAD = 0.001
_LONGEST_NAP = 5.0
_TICKS = os.sysconf("SC_CLK_TCK")
# Fields of /proc/PID/stat after the name: the parent, the session, and the CPU times.
_PARENT, _SESSION, _TIMES = 1, 3, slice(11, 15)
_LAST_LINES = 12
_LAST_BYTES = 8 << 10
_FULL_WORDS = ("No space left on device", "Disk quota exceeded")


@dataclass(frozen=True, slots=True)
class StallLimits:
    """How long a program may neither print nor compute before it is killed."""

    seconds: float = 900.0
    # With a full disk, waiting is of no use.
    seconds_when_full: float = 20.0


@dataclass(slots=True)
class Watchdog:
    """Watches one program; `check` raises the error for a program that it killed."""

    command: Sequence[str | Path]
    process: subprocess.Popen[bytes]
    limits: StallLimits
    # Files and directories that the program writes to.
    writes: Sequence[Path] = ()
    # A file that gets messages of the program.
    messages: int | None = None
    last_output: bytes = b""
    _outputs: int = 0
    _stalled: float = 0.0
    _full: Path | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def see(self, chunk: bytes) -> None:
        """Note output of the program."""
        self._outputs += 1
        self.last_output = (self.last_output + chunk)[-_LAST_BYTES:]

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch the program during the block; then raise if it was killed for a stall."""
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
        self.check()

    def check(self) -> None:
        """Raise the error for a program that was killed."""
        if not self._stalled:
            return
        name = os.path.basename(self.command[0])  # noqa: PTH119 - may be text
        lines = last_lines(self.last_output + self._message_tail())
        message = (
            f"{name} was killed: for {self._stalled:.0f} s it neither printed nor computed"
            + (f"; its last output:\n{lines}" if lines else ", and it had printed nothing")
        )
        if self._full is not None:
            raise disk_full_error(message, self._full)
        words = " ".join(str(word) for word in self.command)
        raise HostError.of(host.TOOL_FAILED, message, f"the command was: {words}")

    def _watch(self) -> None:
        limits = self.limits
        nap = min(limits.seconds, limits.seconds_when_full) / 10
        since, load = time.monotonic(), 0.0
        outputs = self._printed()
        while not self._ended.wait(min(max(nap, 0.02), _LONGEST_NAP)):
            now, printed = time.monotonic(), self._printed()
            quiet = now - since
            used = abs(self._cpu_seconds() - load)
            if printed != outputs or used > max(_LEAST_LOAD * quiet, 1.5 / _TICKS):
                since, load, outputs = now, self._cpu_seconds(), printed
                continue
            if quiet >= limits.seconds_when_full:
                self._full = next((path for path in self.writes if is_full(path)), None)
            if quiet >= limits.seconds or self._full is not None:
                self._stalled = quiet
                self._kill()
                return

    def _printed(self) -> tuple[int, int]:
        return self._outputs, 0 if self.messages is None else os.fstat(self.messages).st_size

    def _message_tail(self) -> bytes:
        if self.messages is None:
            return b""
        size = os.fstat(self.messages).st_size
        return os.pread(self.messages, _LAST_BYTES, max(0, size - _LAST_BYTES))

    def _cpu_seconds(self) -> float:
        return sum(self._tree().values()) / _TICKS

    def _kill(self) -> None:
        """Kill the program with its group, and its children in other groups."""
        children = [pid for pid in self._tree() if pid != self.process.pid]
        kill_process_group(self.process)
        for pid in children:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _tree(self) -> dict[int, int]:
        """Return the CPU ticks of the program, its children and all else in its session."""
        found: dict[int, tuple[int, int, int]] = {}
        with suppress(OSError):
            for name in os.listdir(_PROC):  # noqa: PTH208 - thousands of names
                if name.isdigit():
                    with suppress(OSError, ValueError, IndexError):
                        text = (_PROC / name / "stat").read_bytes()
                        fields = text[text.rindex(b")") + 2 :].split()
                        ticks = sum(map(int, fields[_TIMES]))
                        found[int(name)] = (int(fields[_PARENT]), int(fields[_SESSION]), ticks)
        root = self.process.pid
        tree: dict[int, bool] = {root: True}
        for pid in found:
            path = []
            at = pid
            while at in found and at not in tree:
                path.append(at)
                if found[at][1] == root:
                    tree[at] = True
                    break
                at = found[at][0]
            inside = tree.get(at, False)
            tree.update(dict.fromkeys(path, inside))
        return {pid: found[pid][2] for pid, inside in tree.items() if inside and pid in found}


def last_lines(output: bytes) -> str:
    """Return the last lines of a program's output."""
    lines = output.decode("utf-8", "replace").rstrip().splitlines()
    return "\n".join(lines[-_LAST_LINES:])


def full_disk_of(writes: Sequence[Path], output: str) -> Path | None:
    """Return which of the paths has a full disk, by the free space and a program's output."""
    full = next((path for path in writes if is_full(path)), None)
    if full is None and writes and any(words in output for words in _FULL_WORDS):
        return writes[0]
    return full
