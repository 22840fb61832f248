"""What builders keep on this machine: how much it is, and clearing it away."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.dockerfile.buildah import Buildah
from assembler.errors import PackageError, wrap_os_errors

if TYPE_CHECKING:
    from assembler.events import Reporter

_CACHE = "tmp"


@dataclass(frozen=True, slots=True)
class StorageItem:
    """Something that a builder keeps, and its size in bytes."""

    name: str
    size: int


def builder_storage_items(storage: Path, logs: Path) -> tuple[StorageItem, ...]:
    """Return what there is in the storage: bases as the builder has them, caches of RUN; logs."""
    found = [
        StorageItem("images", _size(storage / "root")),
        StorageItem("caches", _size(storage / _CACHE)),
    ]
    found.append(StorageItem("logs", _size(logs)))
    return tuple(k for k in found if k.size)


def prune_builder_storage(storage: Path, logs: Path, reporter: Reporter) -> int:
    """Clear the storage, and return how many bytes that has made free; no build may be running."""
    before = sum(k.size for k in builder_storage_items(storage, logs))
    with _exclusive(storage) if storage.is_dir() else nullcontext():
        shutil.rmtree(logs, ignore_errors=True)
        if not storage.is_dir():
            return before
        builder = Buildah(tools.require_program("buildah"), storage, reporter)
        for words in (("rm", "--all"), ("rmi", "--all", "--force")):
            builder.run(*words, work=storage)
        shutil.rmtree(storage / _CACHE, ignore_errors=True)
        if os.geteuid() and (storage / _CACHE).exists():
            # What RUN has written is of users that only the builder can become.
            builder.run("unshare", "rm", "-rf", str(storage / _CACHE), work=storage)
    return max(0, before - sum(k.size for k in builder_storage_items(storage, logs)))


@contextmanager
def _exclusive(storage: Path) -> Iterator[None]:
    with wrap_os_errors(storage):
        lock = (storage / "use.lock").open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PackageError.of(
                packages.BUILDER_BUSY,
                "a package is being built, so what its builder keeps cannot be cleared away",
                "try again when the build has ended",
            ) from None
        yield


def _size(directory: Path) -> int:
    total = 0
    for folder, _, names in os.walk(directory, onerror=None):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512  # noqa: PTH118
    return total
