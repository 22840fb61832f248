"""Start QEMU and its helper processes, which may have to end with this process."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
from typing import IO, TYPE_CHECKING

from assembler.codes import machine as codes
from assembler.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1


def launch_process(
    argv: Sequence[str],
    folder: Path,
    log: IO[bytes],
    *,
    die_with_parent: bool,
    handles: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a machine's directory.

    With `die_with_parent` it ends with this process. It inherits the file descriptors `handles`.
    """
    try:
        return subprocess.Popen(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=tuple(handles),
            # Ctrl-C in a terminal is for this process, not for the program.
            start_new_session=True,
            preexec_fn=_parent_death_signal() if die_with_parent else None,  # noqa: PLW1509 - one thread
        )
    except OSError as error:
        raise MachineError.of(
            codes.CANNOT_START, f"cannot start {argv[0]}: {error.strerror}"
        ) from error


def _parent_death_signal() -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))

    return set_signal
