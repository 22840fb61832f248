"""Copying stretches of files into an output, by the kernel alone where it can."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from assembler.codes import output as codes
from assembler.errors import OutputError

_CHUNK = 256 << 10
_CANNOT = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM)


@dataclass(frozen=True, slots=True)
class Stretch:
    """The first bytes of an open file."""

    handle: int
    size: int

    def chunks(self, done: int = 0) -> Iterator[bytes]:
        """Yield the bytes from `done` on."""
        while done < self.size:
            data = os.pread(self.handle, min(_CHUNK, self.size - done), done)
            if not data:
                raise OutputError.of(
                    codes.SOURCE_CHANGED,
                    f"a file was cut short while it was read: {self.size - done} bytes are missing",
                    "build again when nothing writes to it",
                )
            yield data
            done += len(data)


def append(out: IO[bytes], stretch: Stretch) -> None:
    """Append a stretch; `out` may be a file, a pipe or anything that is written to."""
    out.flush()
    handle = _descriptor(out)
    done = 0
    if handle is not None:
        done = _by_kernel(handle, stretch.handle, stretch.size)
    for data in stretch.chunks(done):
        out.write(data)


def _descriptor(out: IO[bytes]) -> int | None:
    try:
        return out.fileno()
    except (OSError, AttributeError):
        return None


def _by_kernel(handle: int, source: int, size: int) -> int:
    """Copy without bringing the bytes to this process; return how many were copied."""
    done = 0
    try:
        while done < size:
            copied = os.copy_file_range(source, handle, size - done, done)
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    try:
        while done < size:
            copied = os.sendfile(handle, source, done, size - done)
            if not copied:
                return done
            done += copied
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    return done
