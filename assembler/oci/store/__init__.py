"""The image store: an OCI image layout on disk, safe against kill -9 and concurrent use.

The files below the directory of `--cache` (a cache of LinuxKit, or an OCI layout that skopeo or
crane wrote, is a store already):

    oci-layout              {"imageLayoutVersion": "1.0.0"}
    index.json              the names: each descriptor carries the full reference as
                            org.opencontainers.image.ref.name and io.containerd.image.name
    blobs/sha256/HEX        content; complete, verified on arrival, 0644, never changed;
                            its mtime is the time of its last use
    tmp/HEX.part            the received part of blob HEX; only the holder of its lock (flock) may
                            add or remove that blob
    tmp/RANDOM.new          content without a known digest; locked while it is written
    locks/index             locked (flock) while index.json is read, changed and replaced
    locks/use-RANDOM        locked by an active run; its mtime is the start of the run
    segments/               segments that encoders derive from blobs, one file each; its mtime is
                            the time of its last use; may be deleted at any time
    quarantine/HEX          blobs whose content does not match their name

Nothing else is ever locked, and a lock never outlives the process that holds it.

Reading (`Store.read`, `open`, `path`, `names`, `find_image`, `look_up_image`)
    needs no lock, no permission to write, and creates nothing; a directory that is not there is an
    empty store. index.json is replaced by rename, so a reader sees the old or the new one. Reading
    sets the time of use (mtime) where it is allowed to.

Adding a blob (`Store.incoming`, `add_bytes`, `add_stream`)
    The writer opens tmp/HEX.part and locks it. If another writer had the lock, the blob is
    there after the wait, so nothing is fetched twice. After locking, the writer makes sure
    that the locked file still has the name (its predecessor renamed or removed it), and else
    starts again. It appends, hashing and counting; at the end it compares digest and size,
    fsyncs, renames to blobs/sha256/HEX. A process that is killed leaves tmp/HEX.part unlocked;
    the next one hashes its content and continues there. A thread holds the lock of one
    digest at a time, so there is no deadlock.

Changing names (`Store.edit`, `put`)
    locks/index is taken, index.json read, a function makes new names of the old ones, the
    directory of the blobs is synced, the new index.json is written, synced, renamed. The lock
    is held for milliseconds, never while anything is waited for. Names, fields and annotations that
    Dolmen does not know stay unchanged.

An active run (`Store.in_use`)
    pull, import and build hold a file locks/use-RANDOM locked. Collecting garbage keeps every blob
    and segment used since the oldest of these files was made, however long the run takes.

Garbage collection (`collect_garbage`)
    locks/index is held from marking to sweeping, so that no name comes in between. It keeps
    blobs with a name, blobs used within the grace time (an hour) or since the start of the oldest
    active run, and locked blobs. It removes what needs no new index.json first; if there is no room
    for that, also the blobs of the images to remove. Each blob is removed with its tmp/HEX.part
    locked, after its mtime was looked at again; without room for that file, it is removed without
    the lock if no run is active. A collector that is killed leaves garbage, or on a full disk an
    incomplete image.

Wrong content (`Store.quarantine`, `verify_store`)
    A document whose digest is wrong when it is read, or a layer that its reader finds broken, is
    moved to quarantine/. Its image counts as incomplete from then on and is fetched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front
from assembler.oci.store.image_lookup import (
    MissingImage,
    MissingReason,
    find_image,
    look_up_image,
    other_registries_hint,
    read_attestations,
)
from assembler.oci.store.image_store import Store
from assembler.oci.store.incoming_blob import IncomingBlob
from assembler.oci.store.names import ImageNames, IndexEntry

if TYPE_CHECKING:
    from assembler.oci.store.garbage_collection import GcResult, collect_garbage, remove_images
    from assembler.oci.store.gc_policy import GcLimits
    from assembler.oci.store.image_list import ListedImage, find_entries, list_images
    from assembler.oci.store.verification import VerifyReport, verify_store

# Builds rarely need these: they are imported on first use.
_HOMES = {
    "GcLimits": "gc_policy",
    "GcResult": "garbage_collection",
    "ListedImage": "image_list",
    "VerifyReport": "verification",
    "collect_garbage": "garbage_collection",
    "find_entries": "image_list",
    "list_images": "image_list",
    "remove_images": "garbage_collection",
    "verify_store": "verification",
}

__all__ = [
    "GcLimits",
    "GcResult",
    "ImageNames",
    "IncomingBlob",
    "IndexEntry",
    "ListedImage",
    "MissingImage",
    "MissingReason",
    "Store",
    "VerifyReport",
    "collect_garbage",
    "find_entries",
    "find_image",
    "list_images",
    "look_up_image",
    "other_registries_hint",
    "read_attestations",
    "remove_images",
    "verify_store",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
