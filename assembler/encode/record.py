"""The record at the head of a tar: what its parts were made of, for builds that lack the images.

A global pax header with a comment, which every tool passes over in silence:

    dolmen:1 {JSON}

    images      by full name: digests of manifest and index, whether SPDX documents are attached
    documents   manifests, indexes and configs, word for word: their digests make them out
    parts       image, location, prefix, rules, size and CRC-32 of each tree, in their order
    files       the same of kernel, microcode and modules, which are files of the kernel's image
    sbom        what the SPDX document was joined of

Trees and files are stretches of the archive; `assembler.encode.earlier` finds and checks them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.encode.tar import global_comment
from assembler.oci import MalformedTarError, parse_pax_records
from assembler.rootfs.plan import ImageTree, Member, MemberTree

if TYPE_CHECKING:
    from assembler.encode.segments import Segment
    from assembler.rootfs.plan import Plan

_MARK = b"dolmen:1 "
# What other readers of archives take; a system with more documents goes without a record.
_LARGEST = 960 << 10


@dataclass(frozen=True, slots=True)
class Origins:
    """What is known of a system's images beyond their trees."""

    images: Mapping[str, Mapping[str, Any]]
    documents: Sequence[str]
    sbom: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read; nothing in it is trusted."""

    architecture: str = ""
    images: Mapping[str, Any] = field(default_factory=dict)
    documents: Sequence[Any] = ()
    parts: Sequence[Any] = ()
    files: Sequence[Any] = ()
    sbom: Mapping[str, Any] | None = None


def block(
    origins: Origins, plan: Plan, segment: Callable[[ImageTree | MemberTree | Member], Segment]
) -> bytes:
    """Return the header for a plan whose segments are there; nothing if it would be too large."""
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


def _root_files(plan: Plan) -> list[Member | MemberTree]:
    """Return what is taken out of the kernel's image, in the order in which it stands in a tar."""
    found: list[Member | MemberTree] = []
    if plan.boot is not None:
        found += [plan.boot.kernel, *([plan.boot.ucode] if plan.boot.ucode else [])]
    return found + [p for p in plan.parts if isinstance(p, MemberTree)]


def _file(
    member: Member | MemberTree,
    segment: Callable[[ImageTree | MemberTree | Member], Segment],
) -> dict[str, Any]:
    found = segment(member)
    described = {"image": str(member.image.reference), **_weight(found)}
    if isinstance(member, MemberTree):
        return described | {"name": member.member, "tree": True, "mode": 0o644}
    return described | {
        "name": member.name,
        "tree": False,
        "mode": int(found.details["mode"]),
        "decompressed": member.decompress or _is_plain(member),
    }


def _is_plain(member: Member) -> bool:
    return member.image.salvaged is not None and member.image.salvaged.kernel_decompressed


def _weight(segment: Segment) -> dict[str, int]:
    return {"size": segment.size, "crc32": int(segment.details["crc32"])}


def read(common: bytes) -> Record | None:
    """Read the records of a global header; nothing if they are not ours, Malformed if damaged."""
    comment = parse_pax_records(common).get(b"comment", b"") if common else b""
    if not comment.startswith(_MARK):
        return None
    try:
        document = json.loads(comment[len(_MARK) :])
        found = Record(
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
