"""The stage "encode": a plan as tar and cpio, with the segments of images kept from build to build.

Assembly(plan, store, options, reporter)   the encoded plan: write_tree, write_initrd, kernel ...
EncodeOptions                              compression, worker processes, limits
Compression, CODECS                        the compression of initrds
ExtractedFile                              a kernel or microcode, open for reading

plan_early_initrd(assembly, filesystems)   -> EarlyInitrd; MODULE_LIST is the file in init images
parse_kernel_config(config)                the options of a kernel's configuration
SalvageArchive.open(path), SalvageError    images from the tar of an earlier build
BuildRecordInputs                          the data about images in the build record of a tar

TarEncoder, PlainTarWriter, TAR_END, global_comment    writing tar archives
NewcEncoder, TRAILER                                   writing newc archives
Bytes, BytesOutput, Inventory                          outputs and notes of encoders
SegmentCache, segment_key                              the segments of a store
verify_segments(store, report, reporter)               `dolmen cache verify` for segments
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.fronts import front

if TYPE_CHECKING:
    from assembler.encode.archive_record import ArchiveRecordInputs
    from assembler.encode.assembly import Assembly
    from assembler.encode.byte_sinks import Bytes, BytesOutput
    from assembler.encode.compression import CODECS, Compression
    from assembler.encode.early_initrd import (
        MODULE_LIST,
        ROOT_SIGNATURE,
        EarlyInitrd,
        plan_early_initrd,
    )
    from assembler.encode.encode_options import EncodeOptions
    from assembler.encode.generated_parts import ExtractedFile
    from assembler.encode.inventory import Inventory
    from assembler.encode.kernel_support import parse_kernel_config
    from assembler.encode.newc_encoder import TRAILER, NewcEncoder
    from assembler.encode.salvage_archive import SalvageArchive, SalvageError
    from assembler.encode.segment_cache import SegmentCache, segment_key
    from assembler.encode.segment_verification import verify_segments
    from assembler.encode.tar_encoder import TAR_END, PlainTarWriter, TarEncoder, global_comment

_HOMES = {
    "ArchiveRecordInputs": "archive_record",
    "Assembly": "assembly",
    "Bytes": "byte_sinks",
    "BytesOutput": "byte_sinks",
    "CODECS": "compression",
    "Compression": "compression",
    "EarlyInitrd": "early_initrd",
    "EncodeOptions": "encode_options",
    "ExtractedFile": "generated_parts",
    "Inventory": "inventory",
    "MODULE_LIST": "early_initrd",
    "NewcEncoder": "newc_encoder",
    "PlainTarWriter": "tar_encoder",
    "ROOT_SIGNATURE": "early_initrd",
    "SalvageArchive": "salvage_archive",
    "SalvageError": "salvage_archive",
    "SegmentCache": "segment_cache",
    "TAR_END": "tar_encoder",
    "TRAILER": "newc_encoder",
    "TarEncoder": "tar_encoder",
    "global_comment": "tar_encoder",
    "parse_kernel_config": "kernel_support",
    "plan_early_initrd": "early_initrd",
    "segment_key": "segment_cache",
    "verify_segments": "segment_verification",
}

__all__ = [
    "CODECS",
    "MODULE_LIST",
    "ROOT_SIGNATURE",
    "TAR_END",
    "TRAILER",
    "ArchiveRecordInputs",
    "Assembly",
    "Bytes",
    "BytesOutput",
    "Compression",
    "EarlyInitrd",
    "EncodeOptions",
    "ExtractedFile",
    "Inventory",
    "NewcEncoder",
    "PlainTarWriter",
    "SalvageArchive",
    "SalvageError",
    "SegmentCache",
    "TarEncoder",
    "global_comment",
    "parse_kernel_config",
    "plan_early_initrd",
    "segment_key",
    "verify_segments",
]

if not TYPE_CHECKING:  # Else a type checker would take any name for granted.
    __getattr__ = front(__name__, _HOMES)
