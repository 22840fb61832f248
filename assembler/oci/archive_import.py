"""Importing archives: all images of an archive get their names in the store, or none."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any

from assembler.codes import host, images
from assembler.data_files import open_data_stream
from assembler.diagnostics import Diagnostic, Severity
from assembler.errors import DolmenError, HostError, ImageError, wrap_os_errors
from assembler.events import WarningEmitted, task
from assembler.oci import archive_reader, media_types
from assembler.oci.archive_reader import ArchiveContents, ArchiveStream, bad_archive
from assembler.oci.image_limits import MAX_IMAGE_SIZE
from assembler.oci.layers.decompression import LayerLimits, decompress_layer
from assembler.oci.layers.flattening import image_too_large
from assembler.oci.layers.tar_fields import MalformedTarError
from assembler.oci.manifest import Descriptor, parse_image_config
from assembler.oci.reference import Reference
from assembler.oci.store import ImageNames
from assembler.oci.store.garbage_collection import discard_blobs
from assembler.oci.store.image_contents import ContentsReader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci.store import IndexEntry, Store


@dataclass(frozen=True, slots=True)
class ImportedImage:
    """An imported image."""

    reference: Reference
    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class ArchiveInput:
    """An archive to import."""

    file: IO[bytes]
    title: str
    size: int | None = None
    # The name of the image, instead of the archive's own.
    name: Reference | None = None
    max_image_size: int = MAX_IMAGE_SIZE


def import_archive(
    store: Store, upload: ArchiveInput, reporter: Reporter
) -> tuple[ImportedImage, ...]:
    """Bring the images of an archive into the store, all of them or none."""
    arrived: set[str] = set()
    needed: set[str] = set()
    try:
        with store.in_use(), task(reporter, upload.title, upload.size) as progress:
            contents = archive_reader.read_archive(
                store, ArchiveStream(upload.file, progress), arrived
            )
            imported = _images(store, contents, upload.name, arrived, reporter)
            walker = ContentsReader(store)
            for image in imported:
                image_contents = walker.contents(image.descriptor)
                if not image_contents.usable:
                    missing = [d.digest for d in image_contents.missing] or [
                        image.descriptor.digest
                    ]
                    raise bad_archive(f"{missing[0]}, a part of {image.reference}, is not in it")
                for leaf in image_contents.leaves:
                    # Stored, and so not larger than uncompressed.
                    if sum(layer.size for layer in leaf.manifest.layers) > upload.max_image_size:
                        name = str(image.reference)
                        raise image_too_large(name, "as stored", upload.max_image_size)
                needed |= image_contents.blobs.keys()

            def add_names(names: ImageNames) -> ImageNames:
                for image in imported:
                    names = names.put(str(image.reference), image.descriptor)
                return names

            store.edit(add_names)
            progress.outcome = "imported"
    finally:
        # Blobs without a name, after an error or from unrelated files in the archive.
        unused = arrived - needed
        if unused:
            _discard(store, unused)
    return tuple(imported)


def import_file(
    store: Store,
    path: Path,
    name: Reference | None,
    reporter: Reporter,
    *,
    max_image_size: int = MAX_IMAGE_SIZE,
) -> tuple[ImportedImage, ...]:
    """Bring the images of an archive file into the store, all of them or none."""
    if path.is_dir():
        raise _directory_error(path)
    with wrap_os_errors(path, "read"):
        opened, size = open_data_stream(path), path.stat().st_size
    with opened as file:
        archive = ArchiveInput(file, f"import {path.name}", size or None, name, max_image_size)
        return import_archive(store, archive, reporter)


def _directory_error(path: Path) -> HostError:
    hints = ["name the archive in it"]
    if (path / "oci-layout").is_file() or (path / "index.json").is_file():
        directory = shlex.quote(str(path))
        hints = [
            f"import a layout as an archive: tar -C {directory} -cf - . | dolmen cache import -"
        ]
    return HostError.of(host.NOT_READABLE, f"{path} is a directory, not an archive", *hints)


def _discard(store: Store, digests: set[str]) -> None:
    try:
        discard_blobs(store, digests)
    except DolmenError:
        return  # garbage collection removes them later; the first error matters more


def _images(
    store: Store,
    contents: ArchiveContents,
    name: Reference | None,
    arrived: set[str],
    reporter: Reporter,
) -> list[ImportedImage]:
    if archive_reader.INDEX_FILE in contents.documents:
        entries = _layout_images(contents)
    elif archive_reader.DOCKER_MANIFEST_FILE in contents.documents:
        entries = _docker_images(store, contents, arrived)
    else:
        raise bad_archive("it has neither index.json nor manifest.json")
    if not entries:
        raise bad_archive("there is no image in it")
    if name is not None:
        roots = {d.digest: d for _, d in entries}
        if len(roots) > 1:
            raise bad_archive(f"it holds {len(roots)} images, and --name can name only one")
        return [ImportedImage(name, next(iter(roots.values())))]
    named = [ImportedImage(_reference(text), d) for texts, d in entries for text in texts]
    if not named:
        raise bad_archive("the images in it have no full names; give one with --name")
    nameless = len(entries) - len({i.descriptor.digest for i in named})
    if nameless:
        text = f"{nameless} images of the archive have no full names and were left out"
        reporter.emit(
            WarningEmitted(Diagnostic(images.BAD_ARCHIVE, text, severity=Severity.WARNING))
        )
    return named


def _reference(text: str) -> Reference:
    try:
        return Reference.parse(text)
    except ImageError as error:
        raise ImageError(
            [replace(d, hints=("give it a name with --name",)) for d in error.diagnostics]
        ) from None


# An OCI image layout


def _layout_images(contents: ArchiveContents) -> list[tuple[tuple[str, ...], Descriptor]]:
    """Return names and descriptor of each image of an OCI layout."""
    try:
        names = ImageNames.parse(
            contents.documents[archive_reader.INDEX_FILE], archive_reader.INDEX_FILE
        )
    except ImageError as error:
        raise bad_archive(error.diagnostics[0].message) from None
    if names.broken:
        raise bad_archive(names.broken[0].reason)
    tags = _repo_tags(contents)
    entries: dict[str, tuple[tuple[str, ...], Descriptor]] = {}
    for entry in names.entries:
        if entry.descriptor.attested_digest:
            continue
        descriptor = replace(entry.descriptor, annotations=_without_names(entry))
        earlier_names, _ = entries.get(descriptor.digest, ((), descriptor))
        entries[descriptor.digest] = ((*earlier_names, *_full_names(entry)), descriptor)
    if len(entries) == 1:
        # An old `docker save` puts only the tag into the index.
        ((texts, only),) = entries.values()
        return [(texts or tags, only)]
    return list(entries.values())


def _full_names(entry: IndexEntry) -> tuple[str, ...]:
    annotations = entry.descriptor.annotations
    full = annotations.get(media_types.CONTAINERD_NAME, "")
    short = annotations.get(media_types.REF_NAME, "")
    if full:
        return (full,)
    # A tag alone, as "latest", is not a name, although it could be read as one.
    return (short,) if any(c in short for c in "/:@") else ()


def _without_names(entry: IndexEntry) -> dict[str, str]:
    name_keys = (media_types.CONTAINERD_NAME, media_types.REF_NAME)
    return {k: v for k, v in entry.descriptor.annotations.items() if k not in name_keys}


def _repo_tags(contents: ArchiveContents) -> tuple[str, ...]:
    if archive_reader.DOCKER_MANIFEST_FILE not in contents.documents:
        return ()
    return tuple(tag for item in _docker_items(contents) for tag in _texts(item, "RepoTags"))


# What `docker save` writes


def _docker_images(
    store: Store, contents: ArchiveContents, arrived: set[str]
) -> list[tuple[tuple[str, ...], Descriptor]]:
    """Return names and descriptor of each image, with a manifest made from Docker's list."""
    return [
        (_texts(item, "RepoTags"), _manifest(store, contents, item, arrived))
        for item in _docker_items(contents)
    ]


def _docker_items(contents: ArchiveContents) -> list[dict[str, Any]]:
    try:
        items = json.loads(contents.documents[archive_reader.DOCKER_MANIFEST_FILE])
    except (ValueError, RecursionError):
        raise bad_archive("manifest.json is not JSON") from None
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise bad_archive("manifest.json is not a list of images")
    return items


def _texts(item: dict[str, Any], key: str) -> tuple[str, ...]:
    values = item.get(key) or []
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise bad_archive(f"{key} in manifest.json is not a list of texts")
    return tuple(values)


def _manifest(
    store: Store, contents: ArchiveContents, item: dict[str, Any], arrived: set[str]
) -> Descriptor:
    path = item.get("Config")
    if not isinstance(path, str):
        raise bad_archive("an image in manifest.json has no Config")
    data = contents.document(path, store)
    platform = parse_image_config(data, path).platform
    layers = [contents.blob(layer) for layer in _texts(item, "Layers")]
    typed_layers = [
        replace(d, media_type=archive_reader.detect_layer_type(store, d)) for d in layers
    ]
    _check_content(store, _diff_ids(data), typed_layers)
    config = store.add_bytes(data, media_types.OCI_CONFIG)
    document = {
        "schemaVersion": 2,
        "mediaType": media_types.OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in typed_layers],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    manifest = store.add_bytes(text, media_types.OCI_MANIFEST)
    arrived |= {config.digest, manifest.digest}
    return replace(manifest, platform=platform if platform.architecture else None)


def _diff_ids(config: bytes) -> list[Any]:
    rootfs = json.loads(config).get("rootfs")
    ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    return ids if isinstance(ids, list) else []


def _check_content(store: Store, diff_ids: Sequence[Any], layers: Sequence[Descriptor]) -> None:
    """Compare the layers with the diff IDs of the config, the only digests in the archive."""
    if len(diff_ids) != len(layers):
        raise bad_archive(f"its config lists {len(diff_ids)} layers, the archive has {len(layers)}")
    for number, (diff_id, layer) in enumerate(zip(diff_ids, layers, strict=True)):
        digest = layer.digest
        if layer.media_type != media_types.OCI_LAYER:
            with store.open(layer) as file:
                try:
                    digest = archive_reader.digest_chunks(
                        decompress_layer(file, layer.size, LayerLimits())
                    )
                except MalformedTarError as error:
                    raise bad_archive(f"layer {number + 1}: {error}") from None
        if digest != diff_id:
            raise bad_archive(f"layer {number + 1} does not match the diff ID in its config")
