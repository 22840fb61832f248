"""The directories of builds under way, below the store."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.oci import hold_lock
from assembler.part_files import try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.oci import Store


@contextmanager
def open_workspace(store: Store) -> Iterator[Path]:
    """Give a directory below the store, which is removed after the block.

    It is locked while it is in use. Directories that killed builds have left are removed.
    """
    store.layout.prepare()
    parent = store.root.absolute() / "building"
    with wrap_os_errors(parent):
        parent.mkdir(exist_ok=True)
    with hold_lock(store.layout.locks / "building"), wrap_os_errors(parent):
        for left in parent.iterdir():
            unused = _try_lock_directory(left)
            if unused is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(unused)
        directory = Path(mkdtemp(dir=parent))
        lock = _try_lock_directory(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _try_lock_directory(directory: Path) -> int | None:
    """Lock a directory; return None if another process has locked or removed it."""
    try:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if try_lock(handle):
        return handle
    os.close(handle)
    return None
