"""The contents of images in a store: all blobs, and which of them are missing."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.errors import ImageError
from assembler.oci.digest import is_digest
from assembler.oci.manifest import Index, Manifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.oci.manifest import Descriptor
    from assembler.oci.store.image_store import Store


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest in the store, and its missing blobs."""

    descriptor: Descriptor
    manifest: Manifest
    missing: tuple[Descriptor, ...]


@dataclass(slots=True)
class ImageContents:
    """The readable manifests and blobs below a descriptor of index.json."""

    # By digest: the blobs of all manifests in the store, present or missing.
    blobs: dict[str, Descriptor] = field(default_factory=dict)
    leaves: list[StoredManifest] = field(default_factory=list)
    # Images that an index lists and the store lacks.
    not_fetched: list[Descriptor] = field(default_factory=list)
    # The top descriptor itself cannot be read.
    unreadable: bool = False

    @property
    def missing(self) -> tuple[Descriptor, ...]:
        """Return the missing blobs of all manifests in the store."""
        return tuple(d for leaf in self.leaves for d in leaf.missing)

    @property
    def images(self) -> tuple[StoredManifest, ...]:
        """Return the images, without attestations."""
        return tuple(leaf for leaf in self.leaves if not leaf.descriptor.attested_digest)

    @property
    def usable(self) -> bool:
        """Tell whether there is an image, and none misses a blob."""
        return bool(self.leaves) and not self.missing


@dataclass(slots=True)
class ContentsReader:
    """Reads the contents of images, each manifest once."""

    store: Store
    _documents: dict[str, Index | Manifest | None] = field(default_factory=dict)

    def contents(self, top: Descriptor) -> ImageContents:
        """Return everything below the descriptor; broken manifests count as missing."""
        found = ImageContents()
        document = self._document(top)
        if document is None:
            found.unreadable = True
            found.blobs[top.digest] = top
        else:
            self._enter(top, document, found)
        return found

    def _enter(
        self, descriptor: Descriptor, document: Index | Manifest, found: ImageContents
    ) -> None:
        todo: list[tuple[Descriptor, Index | Manifest]] = [(descriptor, document)]
        while todo:
            descriptor, document = todo.pop(0)
            if descriptor.digest in found.blobs:
                continue
            found.blobs[descriptor.digest] = descriptor
            if isinstance(document, Manifest):
                parts = (document.config, *document.layers)
                found.blobs |= {d.digest: d for d in parts}
                gone = tuple(d for d in parts if not self.store.has(d))
                found.leaves.append(StoredManifest(descriptor, document, gone))
                continue
            for child in document.manifests:
                inner = self._document(child)
                if inner is None:
                    found.not_fetched.append(child)
                else:
                    todo.append((child, inner))

    def _document(self, descriptor: Descriptor) -> Index | Manifest | None:
        if descriptor.digest not in self._documents:
            try:
                data = self.store.read(descriptor)
                document = parse_manifest(data, descriptor.digest, descriptor.media_type)
            except ImageError:
                self._documents[descriptor.digest] = None
            else:
                self._documents[descriptor.digest] = document
        return self._documents[descriptor.digest]


@dataclass(frozen=True, slots=True)
class BlobFile:
    """A file in the directory of blobs; `digest` is empty if its name is not one."""

    path: Path
    digest: str
    size: int
    used: float


def list_blob_files(store: Store) -> Iterator[BlobFile]:
    """Yield the files in the directory of blobs, unordered; none if it is missing."""
    try:
        listing = os.scandir(store.layout.blobs)
    except (FileNotFoundError, NotADirectoryError):
        return
    with listing:
        for item in listing:
            try:
                found = item.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                digest = f"sha256:{item.name}"
                path = store.layout.blobs / item.name
                yield BlobFile(
                    path, digest if is_digest(digest) else "", found.st_size, found.st_mtime
                )
