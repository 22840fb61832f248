"""Layers: what an image's blobs hold, as one tree.

`flatten` hands the tree of an image's layers over to a sink; `TarReader` reads a tar archive that
lies in the tree. Both take the content as hostile.
"""

from assembler.oci.layers.fields import Malformed, clean
from assembler.oci.layers.fields import records as pax_records
from assembler.oci.layers.flatten import Exceptions, Layer, Sink, flatten
from assembler.oci.layers.inflate import CHUNK, Limits
from assembler.oci.layers.paths import Tree
from assembler.oci.layers.reader import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    SYMLINK,
    TarReader,
)

__all__ = [
    "BLOCK",
    "CHARACTER",
    "CHUNK",
    "DIRECTORY",
    "FIFO",
    "FILE",
    "LINK",
    "SYMLINK",
    "Exceptions",
    "Layer",
    "Limits",
    "Malformed",
    "Sink",
    "TarReader",
    "Tree",
    "clean",
    "flatten",
    "pax_records",
]
