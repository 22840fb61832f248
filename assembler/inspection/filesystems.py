"""Filesystems that are only read: squashfs and erofs, as their superblocks describe them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from assembler import magics
from assembler.inspection.probe import Inspector, Probe
from assembler.inspection.source import CorruptDataError, DataSource, printable_text, unpack_struct

if TYPE_CHECKING:
    from assembler.inspection.result import Inspection

_CODECS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}


def _inspect_squashfs(source: DataSource, result: Inspection, _inspector: Inspector) -> None:
    inodes, made, block, _, codec, _, _, _, major, minor, _, used = unpack_struct(
        "<4xIIIIHHHHHHQQ", source, 0
    )
    result.facts["version"] = f"{major}.{minor}"
    result.facts["compression"] = _CODECS.get(codec, f"number {codec}")
    result.facts["block size"] = block
    result.facts["inodes"] = inodes
    result.facts["made"] = datetime.fromtimestamp(made, UTC).isoformat()
    result.facts["used"] = used
    if used > source.size:
        raise CorruptDataError("it is cut short")


def _inspect_erofs(source: DataSource, result: Inspection, _inspector: Inspector) -> None:
    _, _, bits, _, _, inodes, made, _, blocks = unpack_struct(
        "<4xIIBBHQQII", source, magics.EROFS_AT
    )
    identity, label = unpack_struct("<16s16s", source, magics.EROFS_AT + 48)
    result.facts["label"] = printable_text(label)
    result.facts["UUID"] = str(UUID(bytes=identity))
    result.facts["inodes"] = inodes
    result.facts["made"] = datetime.fromtimestamp(made & 0xFFFFFFFF, UTC).isoformat()
    if not 9 <= bits <= 16:
        raise CorruptDataError("its blocks have an unknown size")
    result.facts["block size"] = 1 << bits
    result.facts["used"] = blocks << bits
    if blocks << bits > source.size:
        raise CorruptDataError("it is cut short")


def _is_erofs(head: bytes, _source: DataSource) -> bool:
    return magics.has_magic(head, magics.EROFS, magics.EROFS_AT)


PROBES = (
    Probe(
        "squashfs filesystem", lambda head, _: head.startswith(magics.SQUASHFS), _inspect_squashfs
    ),
    Probe("erofs filesystem", _is_erofs, _inspect_erofs),
)
