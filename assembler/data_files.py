"""Files that the user names for reading: a pipe without a writer is an error, and no endless wait.

All functions raise OSError, with the reason as its text.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
}


def open_data_file(path: Path) -> IO[bytes]:
    """Open a regular file or a block device, of which any range can be read."""
    return _open(path, (stat.S_IFREG, stat.S_IFBLK))


def open_data_stream(path: Path) -> IO[bytes]:
    """Open a file, a block device or a pipe, to read it once from its start.

    Pipes are there for a shell's `<(command)`. One that no program writes to is empty.
    """
    return _open(path, (stat.S_IFREG, stat.S_IFBLK, stat.S_IFIFO))


def read_data_stream(path: Path) -> bytes:
    """Return the content of a file or a pipe; a pipe has to have some."""
    with open_data_stream(path) as file:
        content = file.read()
        if not content and stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EPIPE, "no program writes to this pipe", str(path))
    return content


def _open(path: Path, kinds: tuple[int, ...]) -> IO[bytes]:
    # Before opening, too: opening a device may have an effect, and a socket has its own error.
    _check(path, path.stat().st_mode, kinds)
    # Non-blocking: a pipe is opened at once.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check(path, os.fstat(handle).st_mode, kinds)
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _check(path: Path, mode: int, kinds: tuple[int, ...]) -> None:
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind not in kinds:
        raise OSError(errno.EINVAL, f"it is {_KINDS.get(kind, 'special')}, not a file", str(path))
