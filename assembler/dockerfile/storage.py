"""The storage of builders on this machine: its size, and clearing it."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler import tools
from assembler.codes import packages
from assembler.dockerfile.buildah import Buildah
from assembler.errors import PackageError, wrap_os_errors
from assembler.files import disk_usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.events import Reporter

_CACHE = "tmp"


@dataclass(frozen=True, slots=True)
class StorageItem:
    """A kind of files in the storage, and its size in bytes."""

    name: str
    size: int


def builder_storage_items(storage: Path, logs: Path) -> tuple[StorageItem, ...]:
    """Return the sizes of base images, RUN caches and build logs, if they are not empty."""
    found = [
        StorageItem("images", disk_usage(storage / "root")),
        StorageItem("caches", disk_usage(storage / _CACHE)),
    ]
    found.append(StorageItem("logs", disk_usage(logs)))
    return tuple(item for item in found if item.size)


def prune_builder_storage(storage: Path, logs: Path, reporter: Reporter) -> int:
    """Clear the storage and the logs; return the bytes freed. No build may be running."""
    before = sum(item.size for item in builder_storage_items(storage, logs))
    with _exclusive(storage) if storage.is_dir() else nullcontext():
        shutil.rmtree(logs, ignore_errors=True)
        if not storage.is_dir():
            return before
        if os.geteuid() == 0:
            # Also files of users of the builder's user namespace.
            for name in ("root", "run", _CACHE):
                shutil.rmtree(storage / name, ignore_errors=True)
            return max(0, before - sum(i.size for i in builder_storage_items(storage, logs)))
        builder = Buildah(tools.require_program("buildah"), storage, reporter)
        for words in (("rm", "--all"), ("rmi", "--all", "--force")):
            builder.run(*words, work=storage)
        shutil.rmtree(storage / _CACHE, ignore_errors=True)
        if (storage / _CACHE).exists():
            # Files of RUN belong to users of the builder's user namespace.
            builder.run("unshare", "rm", "-rf", str(storage / _CACHE), work=storage)
    return max(0, before - sum(item.size for item in builder_storage_items(storage, logs)))


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
                "the storage of the builder is in use: a package is being built",
                "try again after the build",
            ) from None
        yield
