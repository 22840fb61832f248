"""The image store: an OCI image layout on disk that survives kill -9 and serves many at once.

What is on disk, below the directory given as `--cache` (an existing cache of LinuxKit, and whatever
skopeo or crane write as an OCI layout, is one already):

    oci-layout              {"imageLayoutVersion": "1.0.0"}
    index.json              the names: each descriptor carries the full reference as
                            org.opencontainers.image.ref.name and io.containerd.image.name
    blobs/sha256/HEX        content; complete, verified when it came, 0644, never changed;
                            its mtime is the time of its last use
    tmp/HEX.part            what has arrived of blob HEX; whoever has it locked (flock) is alone in
                            making that blob appear or vanish
    tmp/RANDOM.new          content whose digest is not known yet; locked while it is written
    locks/index             locked (flock) while index.json is read, changed and replaced
    locks/use-RANDOM        locked by a run under way; its mtime is the beginning of the run
    segments/               what the encoders derive from blobs: may be deleted at any time; a
                            segment is one file, its mtime is the time of its last use
    quarantine/HEX          blobs whose content turned out not to be what their name says

Nothing else is ever locked, and a lock never outlives the process that holds it.

Reading (`Store.read`, `open`, `path`, `names`, `find`, `lookup`)
    needs no lock, no permission to write, and creates nothing; a directory that is not there is an
    empty store. index.json is replaced by rename, so a reader sees the old or the new one. Reading
    leaves a trace of use (an mtime) where it is allowed to, and does without where it is not.

A blob comes (`Store.incoming`, `add_bytes`, `add_stream`)
    The writer opens tmp/HEX.part and locks it. Had somebody else the lock, then the blob is
    there when the wait is over: nothing is fetched twice. After locking, the writer makes sure
    that the locked file still has the name (its predecessor renamed or removed it), and else
    starts again. It appends, hashing and counting; at the end it compares digest and size,
    fsyncs, renames to blobs/sha256/HEX. A process that is killed leaves tmp/HEX.part unlocked;
    the next one hashes what is in it and goes on from there. A thread holds the lock of one
    digest at a time, so nobody waits in a circle.

A name comes or goes (`Store.edit`, `put`)
    locks/index is taken, index.json read, a function makes new names of the old ones, the
    directory of the blobs is synced, the new index.json is written, synced, renamed. The lock
    is held for milliseconds, never while anything is waited for. Names, fields and annotations that
    Dolmen knows nothing about stay as they are.

A run under way (`Store.in_use`)
    pull, import and build hold a file locks/use-RANDOM locked. Collecting garbage keeps every blob
    and segment used since the oldest of these files was made, however long the run takes.

Garbage is collected (`collect`)
    locks/index is held from marking to sweeping, so that no name comes in between. Kept: what
    a name leads to; what was used within the grace time (an hour) or since the oldest run under way
    began; what somebody has locked. Each blob is removed with its tmp/HEX.part locked, after its
    mtime was looked at again. A collector that is killed leaves garbage, nothing worse.

Wrong content (`Store.quarantine`, `verify`)
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

# Not what every build needs: imported when it is first used.
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

__getattr__ = front(__name__, _HOMES)
