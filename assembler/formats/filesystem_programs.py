"""Programs that make filesystems of a tar at their standard input, run under a watchdog."""

from __future__ import annotations

import subprocess
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from assembler.codes import output as codes
from assembler.errors import DolmenError, OutputError, disk_full_error
from assembler.tools import StallLimits, Watchdog, full_disk_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from assembler.formats.merged_tar import MergedTar

# The environment must not affect the bytes.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def run_with_tar(
    program: str,
    words: Sequence[str],
    tree: MergedTar | None,
    handle: int,
    path: Path,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a program that writes to the file of a descriptor, which will be at `path`."""
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=(handle,),
            env={**_ENVIRONMENT, **(environment or {})},
            # Ctrl-C is handled here.
            start_new_session=True,
        ) as process,
    ):
        watchdog = Watchdog(words, process, StallLimits(), (path,), output.fileno())
        try:
            with watchdog.watch():
                _feed_tar(process, tree)
                process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.returncode:
            raise _program_error(program, process.returncode, output, path)


def _feed_tar(process: subprocess.Popen[bytes], tree: MergedTar | None) -> None:
    pipe = process.stdin
    if pipe is None:
        return
    try:
        for data in tree.chunks() if tree is not None else ():
            pipe.write(data)
        pipe.close()
    except BrokenPipeError:
        # The program has failed; its messages say why. What was not written yet fails once more.
        with suppress(BrokenPipeError):
            pipe.close()


def _program_error(program: str, status: int, output: IO[bytes], path: Path) -> DolmenError:
    output.seek(0)
    lines = output.read(1 << 20).decode("utf-8", "replace").strip().splitlines()
    last = "\n".join(line.strip() for line in lines[-5:]) or f"it ended with status {status}"
    if full_disk_of((path,), last) is not None:
        return disk_full_error(f"cannot write {path}: {program} failed:\n{last}", path)
    return OutputError.of(codes.PROGRAM_FAILED, f"{program} failed:\n{last}")
