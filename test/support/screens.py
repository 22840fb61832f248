"""A terminal of a given size that a test types into and reads, as a person would: by tmux."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from support.cli import Dolmen

_NAME = "screen"


@dataclass(frozen=True)
class Screen:
    """A terminal in which a shell runs a command; its exit code is shown at the end."""

    socket: Path

    @classmethod
    def start(
        cls,
        dolmen: Dolmen,
        command: Sequence[str | Path],
        *,
        columns: int = 80,
        env: Mapping[str, str] | None = None,
    ) -> Self:
        """Run a command in a new terminal of 50 lines."""
        screen = cls(dolmen.home / f"tmux-{time.monotonic_ns()}")
        environment = dolmen.environment(dict(env or {}))
        shell = f"{shlex.join(map(str, command))}; echo ended with $?; stty -a; exec cat"
        # Each test has a server of its own, so that it has the test's environment.
        screen._run(
            *("new-session", "-d", "-s", _NAME, "-x", str(columns), "-y", "50", shell),
            env=environment,
            cwd=dolmen.home,
        )
        return screen

    def __enter__(self) -> Self:
        """Give the terminal."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close the window, as a person does who is fed up."""
        self._run("kill-server")

    def text(self, *, joined: bool = False, escapes: bool = False) -> str:
        """Return what is seen and has scrolled away; `joined` undoes what the terminal broke."""
        options = [*(["-J"] if joined else []), *(["-e"] if escapes else [])]
        shown = self._run("capture-pane", "-p", "-S", "-5000", *options, "-t", _NAME)
        return "\n".join(line.rstrip() for line in shown.splitlines()).rstrip("\n") + "\n"

    def wait_for(self, pattern: str, limit: float = 120.0) -> str:
        """Wait until the screen matches; return it."""
        deadline = time.monotonic() + limit
        while True:
            shown = self.text()
            if re.search(pattern, shown):
                return shown
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{shown}"
            time.sleep(0.1)

    def press(self, *keys: str) -> None:
        """Press keys, by their names in tmux."""
        self._run("send-keys", "-t", _NAME, *keys)

    def broken_lines(self) -> list[str]:
        """Return the lines that the terminal had to break because they are too long for it."""
        while True:
            before, joined, after = self.text(), self.text(joined=True), self.text()
            # Unless something moved meanwhile.
            if before == after:
                return [line for line in joined.splitlines() if line not in before.splitlines()]

    def _run(
        self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", self.socket, *words],
            env=env,
            cwd=cwd,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout
