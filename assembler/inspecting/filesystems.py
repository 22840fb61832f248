"""Filesystems that are only read: squashfs and erofs, as their superblocks describe them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from assembler.inspecting.found import Found
from assembler.inspecting.probes import Look, Probe
from assembler.inspecting.source import BrokenError, Source, text, unpacked

_CODECS = {1: "gzip", 2: "lzma", 3: "lzo", 4: "xz", 5: "lz4", 6: "zstd"}
_EROFS_AT, _EROFS_MAGIC = 1024, b"\xe2\xe1\xf5\xe0"


def _squashfs(source: Source, found: Found, _look: Look) -> None:
    inodes, made, block, _, codec, _, _, _, major, minor, _, used = unpacked(
        "<4xIIIIHHHHHHQQ", source, 0
    )
    found.facts["version"] = f"{major}.{minor}"
    found.facts["compression"] = _CODECS.get(codec, f"number {codec}")
    found.facts["block size"] = block
    found.facts["inodes"] = inodes
    found.facts["made"] = datetime.fromtimestamp(made, UTC).isoformat()
    found.facts["used"] = used
    if used > source.size:
        raise BrokenError("it is cut short")


def _erofs(source: Source, found: Found, _look: Look) -> None:
    _, _, bits, _, _, inodes, made, _, blocks = unpacked("<4xIIBBHQQII", source, _EROFS_AT)
    identity, label = unpacked("<16s16s", source, _EROFS_AT + 48)
    found.facts["label"] = text(label)
    found.facts["UUID"] = str(UUID(bytes=identity))
    found.facts["inodes"] = inodes
    found.facts["made"] = datetime.fromtimestamp(made & 0xFFFFFFFF, UTC).isoformat()
    if not 9 <= bits <= 16:
        raise BrokenError("its blocks have an unknown size")
    found.facts["block size"] = 1 << bits
    found.facts["used"] = blocks << bits
    if blocks << bits > source.size:
        raise BrokenError("it is cut short")


def _is_erofs(head: bytes, _source: Source) -> bool:
    return head[_EROFS_AT : _EROFS_AT + 4] == _EROFS_MAGIC


PROBES = (
    Probe("squashfs filesystem", lambda head, _: head[:4] == b"hsqs", _squashfs),
    Probe("erofs filesystem", _is_erofs, _erofs),
)
