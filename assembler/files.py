"""Files that appear whole or not at all: written under a temporary name, synced, then renamed."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from assembler.errors import host_error, is_of_disk, told

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def appearing(path: Path, *, mode: int = 0o644, durable: bool = True) -> Iterator[IO[bytes]]:
    """Give a binary file (readable, too) that becomes `path` when the block ends well.

    The mode is set as it is asked for, whatever the umask. If the block fails, or the process is
    interrupted by an exception, nothing is left.
    """
    temporary = path.with_name(f".{path.name[:80]}.{secrets.token_hex(6)}.part")
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # The temporary name, which the error has, means nothing to anybody.
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


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
