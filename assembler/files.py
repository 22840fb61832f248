"""Files that appear whole or not at all: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
import stat
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.errors import HostError, host_error, is_of_disk, wrap_os_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WORTH_RESERVING = 1 << 20
_WORTH_RETURNING = 64 << 10
# FALLOC_FL_KEEP_SIZE: the file does not seem longer for it.
_KEEP_SIZE = 1


@contextmanager
def atomic_write(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[IO[bytes]]:
    """Give a binary file (readable, too) that becomes `path` when the block ends well.

    The mode is set as it is asked for, whatever the umask. If the block fails, or the process is
    interrupted by an exception, nothing is left.
    """
    if is_special(path):
        raise HostError.of(
            host.NOT_WRITABLE, f"cannot write {path}: it is a device or a pipe, and never replaced"
        )
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # The temporary name, which the error has, means nothing to anybody.
        if not path.parent.exists():
            raise HostError.of(
                host.NOT_WRITABLE, f"cannot write {path}: there is no directory {path.parent}"
            ) from error
        raise host_error(error, path) from error
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), mode)
            _give_back(file.fileno())
            if durable:
                os.fsync(file.fileno())
        with wrap_os_errors(path):
            temporary.replace(path)
            if durable:
                sync_directory(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # The block may talk to a network, too: only what the disk says is about this path.
        if isinstance(error, OSError) and is_of_disk(error):
            raise host_error(error, path) from error
        raise


def reserve(file: IO[bytes], size: int) -> None:
    """Take room on the disk for what is about to be written behind the end of a file.

    A disk that is too small says so before anything was written. And Linux replaces a file by a
    reserved one at once, where it would else begin to write all of it to the disk first.
    """
    try:
        end = os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):
        return
    reserve_all(file, [(end, end + size)])


def reserve_all(file: IO[bytes], spans: Sequence[tuple[int, int]]) -> None:
    """Take room for parts of a file, each from one place to another."""
    too_small = sum(end - start for start, end in spans) < _WORTH_RESERVING
    if too_small or not sys.platform.startswith("linux") or sys.maxsize <= 1 << 32:
        return
    import ctypes  # noqa: PLC0415 - only for large files

    handle = file.fileno()
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        return
    try:
        # posix_fallocate would do by writing, where a filesystem cannot reserve.
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    file.flush()
    for start, end in spans:
        if end > start and fallocate(handle, _KEEP_SIZE, start, end - start):
            number = ctypes.get_errno()
            if number in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(number, os.strerror(number))
            return


def _give_back(handle: int) -> None:
    """Free what was reserved behind the end of a file and not used."""
    seen = os.fstat(handle)
    if seen.st_blocks * 512 > seen.st_size + _WORTH_RETURNING:
        os.ftruncate(handle, seen.st_size)


def is_special(path: Path) -> bool:
    """Tell whether a path is a device or a pipe: to be written to, never to be replaced."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
