"""The policy of garbage collection: by age, by size, least recently used first."""

from __future__ import annotations

import math
import os
import stat
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.oci.store import locks
from assembler.oci.store.image_contents import ContentsReader, list_blob_files

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci.store.image_contents import BlobFile, ImageContents
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.names import ImageNames, IndexEntry

HOUR = 3600.0
WEEK = 7 * 24 * HOUR
# File times come from the kernel's clock tick, which may lag a little.
_SLACK = 1.0


@dataclass(frozen=True, slots=True)
class GcLimits:
    """What to keep; by default everything that has a name or is young."""

    # Unnamed blobs stay this many seconds, so that an interrupted pull can continue.
    grace: float = HOUR
    # Remove images and segments not used for this many seconds.
    older_than: float | None = None
    # Remove the least recently used images and segments until this size is reached.
    keep_bytes: int | None = None
    # Remove only these names with these digests: a registry has them, too.
    published: frozenset[tuple[str, str]] | None = None
    # Remove every name that may be removed.
    everything: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file of the store that is not a blob: a segment, or an incomplete blob."""

    path: Path
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class GcCandidate:
    """An image that garbage collection may remove, with the time of its last use."""

    entry: IndexEntry
    contents: ImageContents
    used: float


@dataclass(frozen=True, slots=True)
class GcState:
    """The state of a store when garbage collection starts."""

    store: Store
    limits: GcLimits
    now: float
    # When the oldest active run started: everything used since stays.
    oldest_run_start: float
    names: ImageNames
    images: tuple[GcCandidate, ...]
    blobs: tuple[BlobFile, ...]
    segments: tuple[StoreFile, ...]

    @classmethod
    def of(cls, store: Store, limits: GcLimits) -> GcState:
        """Read the state of a store."""
        names = store.names()
        blobs = tuple(list_blob_files(store))
        used = {b.digest: b.used for b in blobs}
        walker = ContentsReader(store)
        images = []
        for entry in names.entries:
            contents = walker.contents(entry.descriptor)
            tops = [leaf.descriptor.digest for leaf in contents.leaves]
            last = max(used.get(d, 0.0) for d in (*tops, entry.descriptor.digest))
            images.append(GcCandidate(entry, contents, last))
        return cls(
            store,
            limits,
            now=time.time(),
            oldest_run_start=oldest_run_start(store, dry_run=limits.dry_run) - _SLACK,
            names=names,
            images=tuple(images),
            blobs=blobs,
            segments=tuple(files_in(store.layout.segments)),
        )

    @property
    def young(self) -> float:
        """Return the time since when unnamed blobs are kept."""
        return min(self.oldest_run_start, self.now - self.limits.grace)


def choose_garbage(state: GcState) -> tuple[list[GcCandidate], list[StoreFile]]:
    """Return the images and segments to remove, least recently used first."""
    limits = state.limits
    sizes = {b.digest: b.size for b in state.blobs}
    needed = Counter(d for image in state.images for d in image.contents.blobs)
    total = sum(sizes.get(d, 0) for d in needed) + sum(s.size for s in state.segments)
    candidates = [i for i in state.images if i.used < state.oldest_run_start and _may_go(i, limits)]
    segments = [s for s in state.segments if s.used < state.oldest_run_start]
    images_go: list[GcCandidate] = []
    segments_go: list[StoreFile] = []
    things: list[GcCandidate | StoreFile] = [*candidates, *segments]
    for thing in sorted(things, key=_age):
        too_much = limits.keep_bytes is not None and total > limits.keep_bytes
        if not too_much and not _too_old(thing, state):
            continue
        if isinstance(thing, StoreFile):
            segments_go.append(thing)
            total -= thing.size
            continue
        images_go.append(thing)
        for digest in thing.contents.blobs:
            needed[digest] -= 1
            total -= sizes.get(digest, 0) if not needed[digest] else 0
    return images_go, segments_go


def _may_go(image: GcCandidate, limits: GcLimits) -> bool:
    this = (image.entry.name, image.entry.descriptor.digest)
    return limits.published is None or this in limits.published


def _too_old(thing: GcCandidate | StoreFile, state: GcState) -> bool:
    limits = state.limits
    if limits.everything:
        return True
    if limits.older_than is not None:
        return thing.used < state.now - limits.older_than
    if isinstance(thing, StoreFile):
        return thing.used < state.now - WEEK
    return limits.published is not None and limits.keep_bytes is None


def _age(thing: GcCandidate | StoreFile) -> tuple[float, str]:
    # Of the same age, a segment is removed first: it can be encoded again.
    name = "" if isinstance(thing, StoreFile) else thing.entry.name or thing.entry.descriptor.digest
    return thing.used, name


def oldest_run_start(store: Store, *, dry_run: bool = False) -> float:
    """Return when the oldest active run started, and remove the files of dead runs."""
    oldest = math.inf
    for item in files_in(store.layout.locks):
        if not item.path.name.startswith("use-"):
            continue
        handle = locks.try_open_locked(item.path)
        if handle is None:
            oldest = min(oldest, item.used)
            continue
        if not dry_run:
            item.path.unlink(missing_ok=True)
        os.close(handle)
    return oldest


def files_in(directory: Path) -> Iterator[StoreFile]:
    """Yield the regular files below a directory; a missing one has none."""
    try:
        listing = os.scandir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return
    with listing:
        for item in listing:
            with suppress(FileNotFoundError):
                found = item.stat(follow_symlinks=False)
                path = directory / item.name
                if stat.S_ISDIR(found.st_mode):
                    yield from files_in(path)
                elif stat.S_ISREG(found.st_mode):
                    yield StoreFile(path, found.st_size, found.st_mtime)
