"""Choosing what goes when a store is to become smaller: by age, by bytes, least recently used."""

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
# Times of files are those of the kernel's clock tick, which may lag a little.
_SLACK = 1.0


@dataclass(frozen=True, slots=True)
class GcLimits:
    """What may stay: without any of them, everything that has a name and what is young."""

    # What no name leads to stays that long: a pull that was cut goes on with what it had.
    grace: float = HOUR
    # Images and segments not used for so many seconds go.
    older_than: float | None = None
    # The least recently used images and segments go until no more bytes than these are left.
    keep_bytes: int | None = None
    # Only these names with these digests may go: a registry has them, too.
    published: frozenset[tuple[str, str]] | None = None
    # Every name goes that may.
    everything: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class StoreFile:
    """A file that is kept because it was used: a segment, or something unfinished."""

    path: Path
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class GcCandidate:
    """An entry of index.json with what it leads to and when any of it was last used."""

    entry: IndexEntry
    contents: ImageContents
    used: float


@dataclass(frozen=True, slots=True)
class GcState:
    """A store as it is when collecting begins."""

    store: Store
    limits: GcLimits
    now: float
    # When the oldest run under way began: what was used since stays.
    oldest_run_start: float
    names: ImageNames
    images: tuple[GcCandidate, ...]
    blobs: tuple[BlobFile, ...]
    segments: tuple[StoreFile, ...]

    @classmethod
    def of(cls, store: Store, limits: GcLimits) -> GcState:
        """Look at everything in the store."""
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
        """Return the time since when things are left alone that nothing leads to."""
        return min(self.oldest_run_start, self.now - self.limits.grace)


def choose_garbage(state: GcState) -> tuple[list[GcCandidate], list[StoreFile]]:
    """Return the images and the segments that go, least recently used first."""
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
    # Of the same age, a segment goes before an image: it can be made again from what is there.
    name = "" if isinstance(thing, StoreFile) else thing.entry.name or thing.entry.descriptor.digest
    return thing.used, name


def oldest_run_start(store: Store, *, dry_run: bool = False) -> float:
    """Return when the oldest run under way began, and remove what dead ones have left."""
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
    """Yield the regular files below a directory; one that is not there has none."""
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
