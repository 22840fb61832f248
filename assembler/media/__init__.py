"""Media: filesystems, partition tables, programs for UEFI and disk containers, as pure writers.

A writer takes contents and returns a `SparseImage`: its size and its extents. An image can be
content of another one (a filesystem in a partition of a disk in a container), is written to a
sparse file, or yielded as a stream; nothing large is in memory. Clock, locale and chance never
affect the bytes.
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
