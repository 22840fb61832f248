"""Exporting: an image of the store as a tar for other tools, the same bytes every time.

oci         an OCI image layout, blobs as they are; all platforms that the store has, or one
docker      what `docker load` reads everywhere: one platform, layers uncompressed
filesystem  the files of the image as a container would see them, nothing left out
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import images
from assembler.errors import ImageError
from assembler.events import task
from assembler.oci import media_types
from assembler.oci.archive_filesystem import write_filesystem
from assembler.oci.digest import digest_hex
from assembler.oci.layers.decompression import LayerLimits, decompress_layer
from assembler.oci.layers.tar_fields import MalformedTarError
from assembler.oci.platform import host_platform
from assembler.oci.store import find_entries, find_image
from assembler.oci.store.image_contents import ContentsReader
from assembler.oci.store.incoming_blob import new_sha256
from assembler.oci.tar_writer import TarMember, write_tar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from assembler.events import Reporter
    from assembler.oci.image import Image
    from assembler.oci.manifest import Descriptor
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store import Store

_CHUNK = 1 << 20


class ArchiveFormat(StrEnum):
    """The formats of archives."""

    OCI = "oci"
    DOCKER = "docker"
    FILESYSTEM = "filesystem"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """The image to export, and the format of the archive."""

    reference: Reference
    format: ArchiveFormat = ArchiveFormat.OCI
    platform: Platform | None = None
    # The name of the image in the archive, if not the reference.
    name: Reference | None = None


def export_archive(
    store: Store, options: ExportOptions, out: IO[bytes], reporter: Reporter
) -> None:
    """Write an image to a file or pipe."""
    name = str(options.name or options.reference)
    with store.in_use():
        if options.format is ArchiveFormat.OCI:
            _export_layout(store, options, name, out, reporter)
            return
        image = find_image(store, options.reference, options.platform or host_platform(), reporter)
        with task(reporter, f"export {name}") as progress:
            if options.format is ArchiveFormat.DOCKER:
                for size in write_tar(_docker_members(store, image, name), out):
                    progress.advance(size)
            else:
                write_filesystem(store, image, out)
            progress.outcome = "exported"


def _text(path: str, document: Any) -> TarMember:  # noqa: ANN401 - whatever JSON can be
    data = json.dumps(document, separators=(",", ":"), sort_keys=True).encode()
    return TarMember(path, len(data), (data,))


# An OCI image layout


def _export_layout(
    store: Store, options: ExportOptions, name: str, out: IO[bytes], reporter: Reporter
) -> None:
    top = _top(store, options, reporter)
    contents = ContentsReader(store).contents(top)
    blobs = [d for d in contents.blobs.values() if store.has(d)]
    if not contents.usable:
        find_image(store, options.reference, options.platform or host_platform(), reporter)
        raise ImageError.of(
            images.BLOB_MISSING,
            f"{options.reference} is not complete in the store",
            "pull it again, or export one platform with --platform",
        )
    members = [
        _text("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        _text(
            "index.json",
            {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_INDEX,
                "manifests": [_with_name(top, name)],
            },
        ),
        *(_blob(store, d) for d in blobs),
    ]
    with task(reporter, f"export {name}", sum(m.size for m in members)) as progress:
        for size in write_tar(members, out):
            progress.advance(size)
        progress.outcome = "exported"


def _top(store: Store, options: ExportOptions, reporter: Reporter) -> Descriptor:
    """Return the image's index if no platform was requested, else its manifest."""
    if options.platform is None:
        entries = find_entries(store.names(), str(options.reference))
        if entries:
            return entries[0].descriptor
    image = find_image(store, options.reference, options.platform or host_platform(), reporter)
    top = image.index if image.index and options.platform is None else image.descriptor
    return top if top.platform or top.is_index else replace(top, platform=image.config.platform)


def _with_name(top: Descriptor, name: str) -> dict[str, Any]:
    annotations = {media_types.REF_NAME: name, media_types.CONTAINERD_NAME: name}
    return replace(top, annotations=annotations).as_json()


def _blob(store: Store, descriptor: Descriptor) -> TarMember:
    return TarMember(
        f"blobs/sha256/{digest_hex(descriptor.digest)}",
        descriptor.size,
        _blob_chunks(store, descriptor),
    )


def _blob_chunks(store: Store, descriptor: Descriptor) -> Iterator[bytes]:
    """Yield a blob, verifying it on the way."""
    hasher = new_sha256()
    with store.open(descriptor) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
            yield chunk
    if hasher.hexdigest() != digest_hex(descriptor.digest):
        store.quarantine(descriptor.digest)
        raise ImageError.of(
            images.CORRUPT_BLOB,
            f"the blob {descriptor.digest} in the store is wrong; what was written of it is, too",
            "pull the image and export it again",
        )


# What `docker load` reads


def _docker_members(store: Store, image: Image, name: str) -> Iterator[TarMember]:
    """Yield config, layers and manifest.json; layers are named by their diff IDs."""
    what = str(image.reference)
    config = store.read(image.manifest.config, what)
    yield TarMember(f"{digest_hex(image.manifest.config.digest)}.json", len(config), (config,))
    paths = []
    written = set()
    for number, layer in enumerate(image.manifest.layers):
        place = f"{what}, layer {number + 1}"
        digest, size = _digest_and_size(_content(store, layer, place))
        paths.append(f"{digest}.tar")
        if digest not in written:
            written.add(digest)
            yield TarMember(paths[-1], size, _content(store, layer, place))
    yield _text(
        "manifest.json",
        [
            {
                "Config": f"{digest_hex(image.manifest.config.digest)}.json",
                "RepoTags": [name],
                "Layers": paths,
            }
        ],
    )


def _digest_and_size(chunks: Iterable[bytes]) -> tuple[str, int]:
    hasher, size = new_sha256(), 0
    for chunk in chunks:
        hasher.update(chunk)
        size += len(chunk)
    return hasher.hexdigest(), size


def _content(store: Store, layer: Descriptor, place: str) -> Iterator[bytes]:
    """Yield the uncompressed content of a layer."""
    with store.open(layer, place) as file:
        try:
            yield from decompress_layer(file, layer.size, LayerLimits(), layer.digest)
        except MalformedTarError as error:
            raise ImageError.of(images.CORRUPT_BLOB, f"{place}: {error}") from None
