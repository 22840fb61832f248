"""What media look like: filesystems, partition tables, programs for UEFI, disk containers.

A writer takes contents and gives a `SparseImage`: its size, and which content lies where. A medium can
lie in another (a filesystem in a partition of a disk in a container), is written to a file that
stays sparse, or yielded as a stream; nothing large is in memory. No clock, locale or randomness has
a part in what comes out.
"""

from assembler.media.sparse_image import (
    Extent,
    ExtentImage,
    SparseImage,
    extents_of,
    image_content,
    image_pieces,
    nonzero_blocks,
    read_image,
    seed_of,
    shifted_extents,
    write_image,
)

__all__ = [
    "Extent",
    "ExtentImage",
    "SparseImage",
    "extents_of",
    "image_content",
    "image_pieces",
    "nonzero_blocks",
    "read_image",
    "seed_of",
    "shifted_extents",
    "write_image",
]
