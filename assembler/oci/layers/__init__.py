"""Layers: reading tar archives, and flattening the layers of an image into one tree.

`flatten_layers` passes the tree of an image's layers to a sink; `TarReader` reads a tar archive.
Both treat the content as hostile.
"""

from assembler.oci.layers.decompression import CHUNK_SIZE, LayerLimits
from assembler.oci.layers.flattened_tree import FlattenedTree
from assembler.oci.layers.flattening import ExcludedPaths, LayerBlob, flatten_layers
from assembler.oci.layers.tar_entry_types import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FIFO,
    FILE,
    HARD_LINK,
    SYMLINK,
)
from assembler.oci.layers.tar_fields import MalformedTarError, normalize_tar_path, parse_pax_records
from assembler.oci.layers.tar_reader import TarReader
from assembler.oci.layers.tree_sink import TreeSink

__all__ = [
    "BLOCK_DEVICE",
    "CHARACTER_DEVICE",
    "CHUNK_SIZE",
    "DIRECTORY",
    "FIFO",
    "FILE",
    "HARD_LINK",
    "SYMLINK",
    "ExcludedPaths",
    "FlattenedTree",
    "LayerBlob",
    "LayerLimits",
    "MalformedTarError",
    "TarReader",
    "TreeSink",
    "flatten_layers",
    "normalize_tar_path",
    "parse_pax_records",
]
