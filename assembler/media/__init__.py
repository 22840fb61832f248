"""What media look like: filesystems, partition tables, programs for UEFI, disk containers.

A writer takes contents and gives a `SparseImage`: its size, and which content lies where. A medium can
lie in another (a filesystem in a partition of a disk in a container), is written to a file that
stays sparse, or yielded as a stream; nothing large is in memory. No clock, locale or randomness has
a part in what comes out.
"""

from assembler.media.sparse_image import (
    Arrangement,
    Placed,
    SparseImage,
    blocks,
    content_of,
    mark_of,
    pieces,
    placed,
    read_at,
    shifted,
    write,
)

__all__ = [
    "Arrangement",
    "Placed",
    "SparseImage",
    "blocks",
    "content_of",
    "mark_of",
    "pieces",
    "placed",
    "read_at",
    "shifted",
    "write",
]
