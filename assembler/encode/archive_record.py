"""The build record at the head of a tar: the images of its parts, for builds that lack them.

It is a global pax header with a comment, which every tool ignores:

    dolmen:1 {JSON}

    images      by full name: digests of manifest and index, whether SPDX documents are attached
    documents   manifests, indexes and configs, byte for byte, identified by their digests
    parts       image, location, prefix, rules, size and CRC-32 of each tree, in their order
    files       the same of kernel, microcode and modules, which are files of the kernel's image
    sbom        the inputs of the SPDX document

Trees and files are byte ranges of the archive; `assembler.encode.salvage_archive` finds and checks
them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.encode.tar_encoder import global_comment
from assembler.oci import MalformedTarError, parse_pax_records
from assembler.rootfs import ArchiveTree, ImageMember, ImageTree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from assembler.encode.segment_cache import Segment
    from assembler.rootfs import Plan

_MARK = b"dolmen:1 "
# The limit of other archive readers; a system with more documents has no record.
_LARGEST = 960 << 10


@dataclass(frozen=True, slots=True)
class ArchiveRecordInputs:
    """The data about images in a build record, besides their trees."""

    images: Mapping[str, Mapping[str, Any]]
    documents: Sequence[str]
    sbom: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ArchiveRecord:
    """A record as read; nothing in it is trusted."""

    architecture: str = ""
    images: Mapping[str, Any] = field(default_factory=dict)
    documents: Sequence[Any] = ()
    parts: Sequence[Any] = ()
    files: Sequence[Any] = ()
    sbom: Mapping[str, Any] | None = None


def encode_record(
    origins: ArchiveRecordInputs,
    plan: Plan,
    segment: Callable[[ImageTree | ArchiveTree | ImageMember], Segment],
) -> bytes:
    """Return the header for a plan whose segments exist; empty if it would be too large."""
    parts = [
        {
            "image": str(part.image.reference),
            "location": part.origin.location,
            "prefix": part.prefix,
            "rules": part.rules.value,
            **_weight(segment(part)),
        }
        for part in plan.parts
        if isinstance(part, ImageTree)
    ]
    document = {
        "architecture": plan.architecture,
        "images": origins.images,
        "documents": sorted(origins.documents),
        "parts": parts,
        "files": [_file(member, segment) for member in _root_files(plan)],
        "sbom": origins.sbom,
    }
    text = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    return global_comment(_MARK + text) if len(text) < _LARGEST else b""


def _root_files(plan: Plan) -> list[ImageMember | ArchiveTree]:
    """Return the files of the kernel image in the order of the tar."""
    found: list[ImageMember | ArchiveTree] = []
    if plan.boot is not None:
        found += [plan.boot.kernel, *([plan.boot.ucode] if plan.boot.ucode else [])]
    return found + [p for p in plan.parts if isinstance(p, ArchiveTree)]


def _file(
    member: ImageMember | ArchiveTree,
    segment: Callable[[ImageTree | ArchiveTree | ImageMember], Segment],
) -> dict[str, Any]:
    found = segment(member)
    described = {"image": str(member.image.reference), **_weight(found)}
    if isinstance(member, ArchiveTree):
        return described | {"name": member.member, "tree": True, "mode": 0o644}
    return described | {
        "name": member.name,
        "tree": False,
        "mode": int(found.details["mode"]),
        "decompressed": member.decompress or _is_plain(member),
    }


def _is_plain(member: ImageMember) -> bool:
    return member.image.salvaged is not None and member.image.salvaged.kernel_decompressed


def _weight(segment: Segment) -> dict[str, int]:
    return {"size": segment.size, "crc32": int(segment.details["crc32"])}


def parse_record(common: bytes) -> ArchiveRecord | None:
    """Read the record from a global header; None if it is not ours, an error if it is damaged."""
    comment = parse_pax_records(common).get(b"comment", b"") if common else b""
    if not comment.startswith(_MARK):
        return None
    try:
        document = json.loads(comment[len(_MARK) :])
        found = ArchiveRecord(
            architecture=str(document["architecture"]),
            images=document["images"],
            documents=document["documents"],
            parts=document["parts"],
            files=document["files"],
            sbom=document["sbom"],
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedTarError(f"its record is broken: {error}") from None
    lists = (found.documents, found.parts, found.files)
    if not isinstance(found.images, dict) or not all(isinstance(x, list) for x in lists):
        raise MalformedTarError("its record is broken")
    return found
