"""Scratch directories: locked while in use; those of killed processes are removed by later ones."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.part_files import still_named, try_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"dolmen-[0-9a-f]{12}")
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def scratch_directory(parent: Path | None = None) -> Iterator[Path]:
    """Create a directory, by default in TMPDIR, that is removed after the block.

    Directories there that killed processes have left are removed first.
    """
    if parent is None:
        import tempfile  # noqa: PLC0415 - slow to load, and seldom needed

        parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    handle = -1
    while handle < 0:
        directory = parent / f"dolmen-{secrets.token_hex(6)}"
        try:
            directory.mkdir(mode=0o700)
            handle = _open_locked(directory)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


def _open_locked(directory: Path) -> int:
    """Lock a new directory; return -1 if another process has removed it before that."""
    try:
        handle = os.open(directory, _FLAGS)
    except FileNotFoundError:
        return -1
    try:
        if try_lock(handle) and still_named(handle, directory):
            return handle
    except OSError:
        # A filesystem without locks: others cannot lock the directory either, and let it be.
        return handle
    os.close(handle)
    return -1


def _remove_abandoned(parent: Path) -> None:
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name):
                with suppress(OSError):
                    _remove_if_abandoned(Path(entry.path))


def _remove_if_abandoned(directory: Path) -> None:
    handle = os.open(directory, _FLAGS)
    try:
        if os.fstat(handle).st_uid == os.geteuid() and try_lock(handle):
            shutil.rmtree(directory, ignore_errors=True)
    finally:
        os.close(handle)
