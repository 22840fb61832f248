"""The free space of the store, compared with what is announced before it is downloaded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from assembler.codes import host
from assembler.errors import HostError, wrap_os_errors
from assembler.quantities import size_text

if TYPE_CHECKING:
    from pathlib import Path


def check_room(store: Path, needed: int, what: str) -> None:
    """Raise HostError unless the disk of a store has room for `what`, of `needed` bytes."""
    with wrap_os_errors(store, "read"):
        disk = os.statvfs(store)
    free = disk.f_bavail * disk.f_frsize
    if needed > free:
        raise HostError.of(
            host.DISK_FULL,
            f"the store {store} has no room for {what}: {size_text(needed)} are needed, "
            f"{size_text(free)} are free",
            "`dolmen cache clean` shrinks the store; or choose another with --cache DIR",
        )
