"""Files that appear whole or not at all: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from assembler.codes import host
from assembler.errors import HostError, host_error, is_of_disk, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def appearing(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[IO[bytes]]:
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
            if durable:
                os.fsync(file.fileno())
        with told(path):
            temporary.replace(path)
            if durable:
                sync_directory(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        # The block may talk to a network, too: only what the disk says is about this path.
        if isinstance(error, OSError) and is_of_disk(error):
            raise host_error(error, path) from error
        raise


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
