"""Garbage collection: removes unnamed blobs, and the images and segments that limits exclude."""

from __future__ import annotations

import math
import os
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import host
from assembler.errors import HostError, host_error, is_full_disk_error, wrap_os_errors
from assembler.oci.store import locks
from assembler.oci.store.gc_policy import (
    GcCandidate,
    GcLimits,
    GcState,
    StoreFile,
    choose_garbage,
    files_in,
)
from assembler.part_files import remove_abandoned_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from assembler.oci.store.image_contents import BlobFile
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.names import IndexEntry


@dataclass(slots=True)
class GcResult:
    """The removed things, or in a dry run the candidates."""

    names: list[str] = field(default_factory=list)
    blobs: int = 0
    segments: int = 0
    # Unfinished downloads, quarantined blobs, unknown files.
    others: int = 0
    bytes: int = 0


def collect_garbage(store: Store, limits: GcLimits | None = None) -> GcResult:
    """Remove what the limits do not keep; it is safe during other runs, and to kill at any time."""
    limits = limits or GcLimits()
    done = GcResult()
    if not store.root.is_dir():
        return done
    with nullcontext() if limits.dry_run else store.index_locked():
        state = GcState.of(store, limits)
        images, segments = choose_garbage(state)
        # A full disk has no room for new names before these are gone.
        _sweep_rest(state, done)
        for segment in segments:
            done.segments += _unlink(state, segment, done)
        _sweep_blobs(state, (), state.blobs, done)
        _remove_candidates(state, images, done)
    return done


def remove_images(
    store: Store, entries: Collection[IndexEntry], *, dry_run: bool = False
) -> GcResult:
    """Remove entries of index.json, and the blobs that only they need."""
    done = GcResult()
    with nullcontext() if dry_run else store.index_locked():
        state = GcState.of(store, GcLimits(dry_run=dry_run))
        gone = [i for i in state.images if i.entry in entries]
        _remove_candidates(state, gone, done)
    return done


def discard_blobs(store: Store, digests: Collection[str]) -> None:
    """Remove blobs of a failed import, unless an image needs them."""
    with store.index_locked():
        state = GcState.of(store, GcLimits(grace=0))
        mine = [b for b in state.blobs if b.digest in digests]
        _sweep_blobs(state, (), mine, GcResult())


def _remove_candidates(state: GcState, images: Sequence[GcCandidate], done: GcResult) -> None:
    """Remove names, then their blobs; if the disk is too full for the names, the blobs first.

    A run that is killed in between leaves an incomplete image, which is fetched again.
    """
    if not images:
        return
    theirs = {d for image in images for d in image.contents.blobs}
    blobs = [b for b in state.blobs if b.digest in theirs]
    try:
        _drop(state, images, done)
    except HostError as error:
        if error.diagnostics[0].code is not host.DISK_FULL:
            raise
        _sweep_blobs(state, images, blobs, done)
        _drop(state, images, done)
    else:
        _sweep_blobs(state, images, blobs, done)


def _drop(state: GcState, images: Iterable[GcCandidate], done: GcResult) -> None:
    """Remove names before their blobs."""
    entries = [image.entry for image in images]
    done.names = [e.name or e.descriptor.digest for e in entries]
    if entries and not state.limits.dry_run:
        state.store.replace_names(state.names.drop(entries))


def _sweep_blobs(
    state: GcState, dropped: Iterable[GcCandidate], blobs: Iterable[BlobFile], done: GcResult
) -> None:
    """Remove blobs that no remaining image needs; those of removed images need not be old."""
    theirs = {d for image in dropped for d in image.contents.blobs}
    gone = {id(image) for image in dropped}
    needed = {d for image in state.images if id(image) not in gone for d in image.contents.blobs}
    for blob in blobs:
        if blob.digest and blob.digest in needed:
            continue
        limit = state.oldest_run_start if blob.digest in theirs else state.young
        if blob.used < limit:
            done.blobs += _remove_blob(state, blob, limit, done)


def _remove_blob(state: GcState, blob: BlobFile, limit: float, done: GcResult) -> bool:
    """Remove a blob under its lock, unless it was used meanwhile."""
    if not blob.digest or state.limits.dry_run:
        return _unlink(state, StoreFile(blob.path, blob.size, blob.used), done)
    part = state.store.layout.part(blob.digest)
    try:
        handle = locks.try_open_locked(part, create=True)
    except OSError as error:
        # A full disk has no room for the lock: a blob goes without one if no run is active.
        if not is_full_disk_error(error) or state.oldest_run_start != math.inf:
            raise host_error(error, part) from error
        return _unlink(state, StoreFile(blob.path, blob.size, blob.used), done)
    if handle is None:
        return False
    try:
        with suppress(FileNotFoundError):
            if blob.path.stat().st_mtime < limit:
                return _unlink(state, StoreFile(blob.path, blob.size, blob.used), done)
        return False
    finally:
        if not os.fstat(handle).st_size:
            part.unlink(missing_ok=True)
        os.close(handle)


def _sweep_rest(state: GcState, done: GcResult) -> None:
    """Remove incomplete blobs of runs that have ended, and quarantined blobs."""
    layout = state.store.layout
    if not state.limits.dry_run:
        # Of a run that was killed while it wrote the index or its copy.
        remove_abandoned_parts(layout.root)
    for item in files_in(layout.tmp):
        if item.used >= state.oldest_run_start:
            continue
        with wrap_os_errors(item.path):
            handle = locks.try_open_locked(item.path)
        if handle is not None:
            done.others += _unlink(state, item, done)
            os.close(handle)
    for item in files_in(layout.quarantine):
        if item.used < state.young:
            done.others += _unlink(state, item, done)


def _unlink(state: GcState, item: StoreFile, done: GcResult) -> bool:
    if not state.limits.dry_run:
        with wrap_os_errors(item.path, "remove"):
            try:
                item.path.unlink()
            except FileNotFoundError:
                return False
    done.bytes += item.size
    return True
