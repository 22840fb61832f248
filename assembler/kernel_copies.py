"""Copies of file ranges by the kernel, which only Linux makes; elsewhere nothing is copied.

Callers copy what is left by reading and writing, so the bytes are the same everywhere.
"""

from __future__ import annotations

import errno
import os
import sys

# What kernels and filesystems answer that do not copy between these files.
_UNSUPPORTED = (
    errno.EXDEV,
    errno.EINVAL,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.EBADF,
    errno.EPERM,
)


def copy_to_file(source: int, start: int, size: int, target: int, offset: int | None) -> int:
    """Copy to a file, at `offset` or else at its position; return the bytes copied."""
    done = 0
    if sys.platform != "linux" or not hasattr(os, "copy_file_range"):
        return done
    try:
        while done < size:
            place = None if offset is None else offset + done
            copied = os.copy_file_range(source, target, size - done, start + done, place)
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return done


def copy_to_stream(source: int, start: int, size: int, target: int) -> int:
    """Copy to a file, a pipe or a socket; return the bytes copied."""
    done = copy_to_file(source, start, size, target, None)
    # Elsewhere sendfile has other arguments, and sends to sockets only.
    if sys.platform != "linux" or not hasattr(os, "sendfile"):
        return done
    try:
        while done < size:
            copied = os.sendfile(target, source, start + done, size - done)
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    return done
