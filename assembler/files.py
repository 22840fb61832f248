"""Files: atomic writes, synced, then named; disk usage, and room for announced data."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.disk_space import free_space, store_of
from assembler.errors import FULL_STORE_HINTS, HostError, host_error, is_disk_error, wrap_os_errors
from assembler.part_files import PartFile
from assembler.quantities import size_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# The mode of files in the store, which users with different umasks may share.
STORE_MODE = 0o644
_MIN_PREALLOCATION = 1 << 20
_MIN_EXCESS = 64 << 10
# From linux/falloc.h: allocate blocks without changing the size of the file.
_FALLOC_FL_KEEP_SIZE = 1
# The directory of a process's descriptors, as /dev/fd.
_DESCRIPTORS = re.compile(r"/proc/(?:self|\d+)(?:/task/\d+)?/fd")


@contextmanager
def atomic_write(
    path: Path, *, mode: int | None = None, durable: bool = True
) -> Iterator[IO[bytes]]:
    """Yield a binary file, open for reading and writing, that becomes `path` after the block.

    By default, the umask decides on the mode. If the block raises an exception, or the process is
    killed, `path` stays unchanged, and the file is removed: see `assembler.part_files`.
    """
    if is_special_file(path):
        raise HostError.of(
            host.NOT_WRITABLE,
            f"cannot write {path}: it is a device or a pipe, which is never replaced",
        )
    try:
        part = PartFile(path, mode)
    except OSError as error:
        # The error has the temporary name, which the user does not know.
        if not path.parent.exists():
            raise HostError.of(
                host.NOT_WRITABLE, f"cannot write {path}: there is no directory {path.parent}"
            ) from error
        raise host_error(error, path) from error
    try:
        # A descriptor of its own: some filesystems report errors of writing when it is closed.
        with os.fdopen(os.dup(part.handle), "w+b") as file:
            yield file
            file.flush()
            _trim_excess(file.fileno())
            if durable:
                os.fsync(file.fileno())
        with wrap_os_errors(path):
            part.publish()
            if durable:
                sync_directory(path.parent)
    except OSError as error:
        # The block may also use the network: only disk errors are about this path.
        if is_disk_error(error):
            raise host_error(error, path) from error
        raise
    finally:
        part.close()


def preallocate(file: IO[bytes], size: int) -> None:
    """Preallocate `size` bytes after the end of a file.

    A disk without enough space fails before anything is written. Also, renaming a preallocated
    file over another one is immediate, where ext4 would else write all of it to the disk first.
    """
    try:
        end = os.fstat(file.fileno()).st_size
    except (OSError, AttributeError):
        return
    preallocate_ranges(file, [(end, end + size)])


def preallocate_ranges(file: IO[bytes], ranges: Sequence[tuple[int, int]]) -> None:
    """Preallocate ranges of a file, each given by its start and its end."""
    too_small = sum(end - start for start, end in ranges) < _MIN_PREALLOCATION
    if too_small or not sys.platform.startswith("linux") or sys.maxsize <= 1 << 32:
        return
    import ctypes  # noqa: PLC0415 - only large files need it

    fd = file.fileno()
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        return
    try:
        # Not posix_fallocate: it writes zeros where a filesystem cannot preallocate.
        fallocate = ctypes.CDLL(None, use_errno=True).fallocate
    except (OSError, AttributeError):
        return
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    file.flush()
    for start, end in ranges:
        if end > start and fallocate(fd, _FALLOC_FL_KEEP_SIZE, start, end - start):
            number = ctypes.get_errno()
            if number in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(number, os.strerror(number))
            return


def _trim_excess(fd: int) -> None:
    """Free preallocated blocks after the end of a file."""
    status = os.fstat(fd)
    if status.st_blocks * 512 > status.st_size + _MIN_EXCESS:
        os.ftruncate(fd, status.st_size)


def is_special_file(path: Path) -> bool:
    """Tell whether a path is a device, a pipe, a socket or a descriptor: these are not replaced."""
    # What /dev/stdout refers to may be a file. But the name of that is another one.
    if _DESCRIPTORS.fullmatch(os.path.realpath(path.parent)) or _is_descriptor_link(path):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _is_descriptor_link(path: Path) -> bool:
    """Tell whether a link, such as /dev/stdout, refers to a descriptor."""
    try:
        target = path.parent / path.readlink()
    except OSError:
        return False
    return bool(_DESCRIPTORS.fullmatch(os.path.realpath(target.parent)))


def sync_directory(path: Path) -> None:
    """Sync the names in a directory to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def disk_usage(directory: Path) -> int:
    """Return the bytes that all files in a directory occupy on the disk."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118
    return total


def check_room(directory: Path, needed: int, what: str) -> None:
    """Raise HostError unless the disk of a store's directory has room for `needed` bytes."""
    free = free_space(directory)
    if free is not None and needed > free:
        store = store_of(directory) or directory
        raise HostError.of(
            host.DISK_FULL,
            f"the store {store} has no room for {what}: {size_text(needed)} are needed, "
            f"{size_text(free)} are free",
            *FULL_STORE_HINTS,
        )
