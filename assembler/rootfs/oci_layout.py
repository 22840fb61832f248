"""A volume of format oci: an image for one or more platforms, as an OCI image layout."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.oci import (
    OCI_INDEX,
    REF_NAME,
    Index,
    Manifest,
    digest_hex,
    parse_image_config,
    parse_manifest,
)
from assembler.rootfs.plan import EntryKind, GeneratedEntry, StoreBlob
from assembler.rootfs.required_images import volume_platforms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from assembler.config import Volume
    from assembler.oci import Descriptor, Platform, Reference
    from assembler.rootfs.plan_options import ResolvedImages

_VERSION = b'{\n\t\t"imageLayoutVersion": "1.0.0"\n\t}'
_DEEPEST_INDEX = 8


def layout_entries(
    volume: Volume, reference: Reference, prefix: str, resolved: ResolvedImages
) -> tuple[GeneratedEntry, ...]:
    """Return the entries of the layout.

    The index is unchanged, so the image keeps its digest, even with a selection of platforms: an
    OCI image layout may have an index that names absent manifests.
    """
    top = resolved.layouts[reference]
    what = str(reference)
    selected = _select_manifests(volume, top, what, resolved)
    blobs: dict[str, Descriptor] = {}
    for descriptors in selected:
        blobs |= {d.digest: d for d in descriptors}
    return (
        _file(f"{prefix}oci-layout", _VERSION),
        _directory(f"{prefix}blobs"),
        _directory(f"{prefix}blobs/sha256"),
        *(
            GeneratedEntry(
                f"{prefix}blobs/sha256/{digest_hex(d.digest)}",
                EntryKind.FILE,
                0o644,
                StoreBlob(d),
                mtime=0,
            )
            for d in blobs.values()
        ),
        _file(f"{prefix}index.json", _index_json(top, reference)),
    )


def _select_manifests(
    volume: Volume, top: Descriptor, what: str, resolved: ResolvedImages
) -> list[tuple[Descriptor, ...]]:
    """Return the selected descriptors; each comes before the document that names it."""
    platforms = volume_platforms(volume)
    if not top.is_index:
        _refuse_other_platform(volume, top, platforms, what, resolved)
        return [_manifest_blobs(top, what, resolved)]
    indexes: dict[str, Descriptor] = {}
    selected: list[tuple[Descriptor, ...]] = []
    available: list[Platform] = []
    for leaf in _leaves(top, what, resolved, indexes):
        platform = leaf.platform
        if platform is not None:
            available.append(platform)
        if not platforms or (
            platform and any(platform.satisfies(requested) for requested in platforms)
        ):
            selected.append(_manifest_blobs(leaf, what, resolved))
    for number, platform in enumerate(platforms):
        if not any(p.satisfies(platform) for p in available):
            offered = ", ".join(sorted({str(p) for p in available})) or "no platform"
            raise PlanError.of(
                rootfs.BAD_VOLUME,
                f"{what} is not available for {platform}",
                f"its index has {offered}",
                place=volume.positions.place_of("platforms", number),
            )
    # An inner index comes before the one that names it.
    return [*selected, tuple(reversed(indexes.values()))]


def _leaves(
    index: Descriptor,
    what: str,
    resolved: ResolvedImages,
    visited: dict[str, Descriptor],
    depth: int = 0,
) -> Iterator[Descriptor]:
    if index.digest in visited or depth > _DEEPEST_INDEX:
        return
    visited[index.digest] = index
    document = parse_manifest(resolved.read(index, what), what, index.media_type)
    for descriptor in document.manifests if isinstance(document, Index) else ():
        if descriptor.is_index:
            yield from _leaves(descriptor, what, resolved, visited, depth + 1)
        else:
            yield descriptor


def _manifest_blobs(
    manifest: Descriptor, what: str, resolved: ResolvedImages
) -> tuple[Descriptor, ...]:
    document = parse_manifest(resolved.read(manifest, what), what, manifest.media_type)
    if not isinstance(document, Manifest):
        raise PlanError.of(
            rootfs.BAD_VOLUME,
            f"{what}: this is an image index, but its media type is that of a manifest",
        )
    return (document.config, *document.layers, manifest)


def _refuse_other_platform(
    volume: Volume,
    manifest: Descriptor,
    platforms: tuple[Platform, ...],
    what: str,
    resolved: ResolvedImages,
) -> None:
    """Refuse a single manifest that is not for all requested platforms."""
    if not platforms:
        return
    document = parse_manifest(resolved.read(manifest, what), what, manifest.media_type)
    if isinstance(document, Index):
        raise PlanError.of(
            rootfs.BAD_VOLUME,
            f"{what}: this is an image index, but its media type is that of a manifest",
        )
    config = parse_image_config(resolved.read(document.config, f"{what}, config"), what)
    for number, platform in enumerate(platforms):
        if not config.platform.satisfies(platform):
            raise PlanError.of(
                rootfs.BAD_VOLUME,
                f"{what} is not available for {platform}",
                f"it is a single image for {config.platform}",
                place=volume.positions.place_of("platforms", number),
            )


def _index_json(top: Descriptor, reference: Reference) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": top.media_type,
                "size": top.size,
                "digest": top.digest,
                "annotations": {REF_NAME: str(reference)},
            }
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def _file(path: str, content: bytes) -> GeneratedEntry:
    return GeneratedEntry(path, EntryKind.FILE, 0o644, content, mtime=0)


def _directory(path: str) -> GeneratedEntry:
    return GeneratedEntry(path, EntryKind.DIRECTORY, 0o755, mtime=0)
