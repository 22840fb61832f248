"""Starting the programs that a machine consists of, which may have to end with this process."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from assembler.codes import machine as codes
from assembler.errors import MachineError

_PR_SET_PDEATHSIG = 1


def launch(
    words: Sequence[str],
    folder: Path,
    log: IO[bytes],
    *,
    with_us: bool,
    handles: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a machine's directory; `with_us` if it must not outlive this process.

    `handles` are open files that its arguments name.
    """
    try:
        return subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(handles),
            # Ctrl-C in a terminal is for us to handle, not for the program.
            start_new_session=True,
            preexec_fn=_die_with_parent() if with_us else None,  # noqa: PLW1509 - one thread
        )
    except OSError as error:
        raise MachineError.of(
            codes.CANNOT_START, f"cannot start {words[0]}: {error.strerror}"
        ) from error


def _die_with_parent() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))

    return ask
