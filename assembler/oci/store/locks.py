"""Locks of the store: flock on files, gone with the process that holds them."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from assembler.errors import wrap_os_errors
from assembler.part_files import still_named, try_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_SHORTEST_NAP = 0.002
_LONGEST_NAP = 0.25


def wait_for_lock(
    handle: int, waiting: Callable[[], None] | None = None, *, shared: bool = False
) -> None:
    """Lock an open file; `waiting` is called before every nap and may raise to give up.

    Sleeps instead of a blocking call let an interrupted run end although a thread waits.
    """
    nap = _SHORTEST_NAP
    while not try_lock(handle, shared=shared):
        if waiting is not None:
            waiting()
        time.sleep(nap)
        nap = min(nap * 1.5, _LONGEST_NAP)


@contextmanager
def hold_lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `path`, which is never removed, during the block."""
    with wrap_os_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        wait_for_lock(handle, shared=shared)
        yield
    finally:
        os.close(handle)


def open_locked(path: Path, waiting: Callable[[], None] | None = None) -> int:
    """Open and lock a file that its owner may rename or remove; return its descriptor."""
    while True:
        with wrap_os_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            wait_for_lock(handle, waiting)
            if still_named(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def try_open_locked(path: Path, *, create: bool = False) -> int | None:
    """Open and lock a file, or return None if it is missing or locked."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    try:
        handle = os.open(path, flags, 0o600)
    except FileNotFoundError:
        return None
    if try_lock(handle) and still_named(handle, path):
        return handle
    os.close(handle)
    return None


@contextmanager
def create_locked(directory: Path, prefix: str, suffix: str) -> Iterator[tuple[int, Path]]:
    """Create a file with a random name and lock it; it is removed unless the block moves it.

    Files of killed processes with the same prefix and suffix are removed first.
    """
    with suppress(OSError):
        for left in directory.glob(f"{prefix}*{suffix}"):
            abandoned = try_open_locked(left)
            if abandoned is not None:
                left.unlink(missing_ok=True)
                os.close(abandoned)
    path, handle = _new(directory, prefix, suffix)
    try:
        yield handle, path
    finally:
        if still_named(handle, path):
            path.unlink(missing_ok=True)
        os.close(handle)


def _new(directory: Path, prefix: str, suffix: str) -> tuple[Path, int]:
    while True:
        path = directory / f"{prefix}{secrets.token_hex(8)}{suffix}"
        with wrap_os_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Garbage collection may have removed the file before it was locked.
        if try_lock(handle) and still_named(handle, path):
            return path, handle
        os.close(handle)
