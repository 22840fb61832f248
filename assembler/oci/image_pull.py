"""Pulling images from registries into the store.

Manifests are fetched first. A blob that several images share is fetched once; a blob that the store
has is not fetched. Blobs are fetched in parallel, the largest first; a blob that another process is
fetching is left to it. After the last blob of an image, its manifests move from the store's tmp/
into the store, and the image gets its name.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from assembler.codes import images as image_codes
from assembler.codes import registries as codes
from assembler.errors import DolmenError, ImageError, RegistryError, wrap_os_errors
from assembler.events import LogMessage, NullReporter, Task, pluralize, task
from assembler.files import check_room
from assembler.oci import digest as digests
from assembler.oci.image_limits import MAX_IMAGE_SIZE
from assembler.oci.layers.flattening import image_too_large
from assembler.oci.manifest import (
    MAX_MANIFEST_SIZE,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
)
from assembler.oci.registry.blob_download import download_blob
from assembler.oci.registry.failures import RegistryFailure
from assembler.oci.registry.manifest_tree import ManifestTree, read_manifest_tree
from assembler.oci.registry.manifests import FetchedManifest, fetch_manifest, similar_tags
from assembler.oci.registry.options import RegistryOptions
from assembler.oci.registry.registries import Registries, open_registries
from assembler.oci.registry.workers import WorkDeferred, WorkResult, map_unordered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from assembler.diagnostics import Diagnostic
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.registry.client import Client
    from assembler.oci.store import ImageNames, IncomingBlob, Store

T = TypeVar("T")
R = TypeVar("R")
_MOST_NAMES = 10
_FOREIGN = ("foreign", "nondistributable")


@dataclass(frozen=True, slots=True)
class PullOptions:
    """Which platforms to pull, and how to reach registries."""

    registries: RegistryOptions = field(default_factory=RegistryOptions)
    # Empty means all.
    platforms: tuple[Platform, ...] = ()
    # The largest image for one platform, in bytes.
    max_image_size: int = MAX_IMAGE_SIZE


@dataclass(frozen=True, slots=True)
class PulledImage:
    """A pulled image."""

    reference: Reference
    descriptor: Descriptor
    # The number of all its blobs, and of the fetched ones.
    blobs: int
    fetched: int


def pull(
    store: Store,
    references: Sequence[Reference],
    options: PullOptions,
    reporter: Reporter | None = None,
) -> tuple[PulledImage, ...]:
    """Pull images into the store under their names.

    One failure does not stop the others; at the end one error reports all failures.
    """
    with store.in_use(), open_registries(options.registries, reporter) as registries:
        return _PullRun(store, registries, options, reporter or NullReporter()).pull(references)


@dataclass(slots=True)
class _PendingImage:
    """An image being pulled: its manifests, and the blobs it still lacks."""

    reference: Reference
    tree: ManifestTree
    blobs: dict[str, Descriptor]
    waiting: set[str] = field(default_factory=set)
    failed: bool = False


@dataclass(slots=True)
class _PendingBlob:
    """A blob to fetch, and the images that need it."""

    descriptor: Descriptor
    images: list[_PendingImage]


@dataclass(slots=True)
class _PullRun:
    store: Store
    registries: Registries
    options: PullOptions
    reporter: Reporter
    problems: list[Diagnostic] = field(default_factory=list)
    # Bytes by endpoint.
    sources: Counter[str] = field(default_factory=Counter)

    def pull(self, references: Sequence[Reference]) -> tuple[PulledImage, ...]:
        start = time.monotonic()
        pending = self._plan(list(dict.fromkeys(references)))
        blobs = self._missing(pending)
        fetched = {b.descriptor.digest for b in blobs}
        complete = [image for image in pending if not image.waiting]
        if complete:
            self._name(complete)
        self._fetch(blobs, len(pending))
        self._report(pending, blobs, time.monotonic() - start)
        if self.problems:
            raise RegistryError(list(dict.fromkeys(self.problems)))
        return tuple(
            PulledImage(
                image.reference,
                image.tree.root,
                len(image.blobs),
                len(fetched & image.blobs.keys()),
            )
            for image in pending
        )

    # Manifests

    def _plan(self, references: list[Reference]) -> list[_PendingImage]:
        """Fetch the manifests of each image, and return the images in order."""
        order = {reference: number for number, reference in enumerate(references)}
        pending: list[_PendingImage] = []
        failed: dict[Diagnostic, list[Reference]] = {}
        for outcome in self._map_unordered(references, self._plan_image):
            if outcome.error is not None:
                for diagnostic in outcome.error.diagnostics:
                    failed.setdefault(diagnostic, []).append(outcome.item)
            elif outcome.result is not None:
                pending.append(outcome.result)
        self.problems += [_with_other_images(d, images) for d, images in failed.items()]
        return sorted(pending, key=lambda image: order[image.reference])

    def _plan_image(self, reference: Reference, _patient: object) -> _PendingImage:
        root = self._fetch_root(reference)
        tree = read_manifest_tree(
            str(reference),
            root.descriptor,
            root.content,
            lambda d: self._read_document(reference, d),
            self.options.platforms,
        )
        for _, manifest in tree.manifests:
            # Stored, and so not larger than uncompressed.
            if sum(layer.size for layer in manifest.layers) > self.options.max_image_size:
                raise image_too_large(str(reference), "as stored", self.options.max_image_size)
        return _PendingImage(reference, tree, {b.digest: b for b in tree.blobs()})

    def _fetch_root(self, reference: Reference) -> FetchedManifest:
        """Fetch the manifest or index of a reference."""

        def fetch(client: Client) -> FetchedManifest:
            return fetch_manifest(client, reference.repository, reference.tag_or_digest)

        try:
            document = self.registries.try_endpoints(reference.registry, fetch)
        except RegistryFailure as error:
            if error.code is codes.NOT_FOUND and not reference.digest:
                raise self._with_similar_tags(reference, error) from None
            raise
        with self.store.incoming(document.descriptor, self.registries.retries.check) as incoming:
            _stage(incoming, document.data)
        return document

    def _read_document(self, reference: Reference, descriptor: Descriptor) -> Index | Manifest:
        """Return a manifest that an index lists; a new one stays in tmp/ for now."""
        what = f"{reference}, {descriptor.digest}"
        with self.store.incoming(descriptor, self.registries.retries.check) as incoming:
            if incoming.present:
                data = self.store.read(descriptor, what)
            else:
                data = _staged(incoming) or self._fetch_document(reference, descriptor)
                _stage(incoming, data)
        return parse_manifest(data, what, descriptor.media_type)

    def _fetch_document(self, reference: Reference, descriptor: Descriptor) -> bytes:
        def fetch(client: Client) -> FetchedManifest:
            return fetch_manifest(client, reference.repository, descriptor.digest)

        document = self.registries.try_endpoints(reference.registry, fetch)
        if document.descriptor.size != descriptor.size:
            raise ImageError.of(
                image_codes.BAD_MANIFEST,
                f"{reference}, {descriptor.digest}: it has {document.descriptor.size} bytes, "
                f"its index says {descriptor.size}",
            )
        return document.data

    def _commit_document(self, reference: Reference, descriptor: Descriptor) -> None:
        """Move a manifest from tmp/ into the store."""
        with self.store.incoming(descriptor, self.registries.retries.check) as incoming:
            if not incoming.present:
                _stage(incoming, _staged(incoming) or self._fetch_document(reference, descriptor))
                incoming.commit()

    def _with_similar_tags(self, reference: Reference, error: RegistryFailure) -> RegistryFailure:
        client = self.registries.origin(reference.registry)
        tags = similar_tags(client, reference.repository, reference.tag_or_digest)
        if not tags:
            return error
        return error.with_hints(f"tags there are, among others: {', '.join(tags)}")

    # Blobs

    def _missing(self, images: Iterable[_PendingImage]) -> list[_PendingBlob]:
        """Return each blob that the store lacks once, largest first."""
        pending: dict[tuple[str, int], _PendingBlob] = {}
        for image in images:
            # Touch before the check, so that garbage collection keeps the present blobs.
            self.store.touch(image.blobs.values())
            for digest, blob in image.blobs.items():
                if self.store.has(blob):
                    self.reporter.emit(
                        LogMessage(f"{image.reference}: {digest} is in the store", 2)
                    )
                    continue
                image.waiting.add(digest)
                pending.setdefault((digest, blob.size), _PendingBlob(blob, [])).images.append(image)
        return sorted(pending.values(), key=lambda b: (-b.descriptor.size, b.descriptor.digest))

    def _fetch(self, blobs: list[_PendingBlob], images: int) -> None:
        """Fetch blobs, and name images as they become complete."""
        if not blobs:
            return
        total = sum(b.descriptor.size for b in blobs)
        arrived = sum(self._arrived(b.descriptor) for b in blobs)
        check_room(self.store.root, total - arrived, pluralize(images, "image"))
        title = f"pull of {pluralize(images, 'image')}"
        with task(self.reporter, title, total) as summary:
            for outcome in self._map_unordered(blobs, self._fetch_blob):
                if outcome.error is not None:
                    self._mark_failed(outcome.item, outcome.error)
                    continue
                summary.advance(outcome.item.descriptor.size)
                for image in outcome.item.images:
                    image.waiting.discard(outcome.item.descriptor.digest)
                self._name([i for i in outcome.item.images if not i.waiting and not i.failed])
            summary.outcome = "incomplete" if self.problems else "complete"
            if self.sources:
                summary.outcome += f", from {', '.join(sorted(self.sources))}"

    def _arrived(self, descriptor: Descriptor) -> int:
        """Return how much of a blob an earlier pull has left in the store."""
        try:
            return min(descriptor.size, self.store.layout.part(descriptor.digest).stat().st_size)
        except OSError:
            return 0

    def _fetch_blob(self, blob: _PendingBlob, patient: bool) -> None:  # noqa: FBT001 - called by map_unordered
        descriptor = blob.descriptor
        if all(image.failed for image in blob.images):
            return  # all images that need it have failed

        def wait() -> None:
            self.registries.retries.check()
            if not patient:
                raise WorkDeferred

        with self.store.incoming(descriptor, wait) as incoming:
            if incoming.present:
                return
            first = blob.images[0].reference
            short = descriptor.digest.partition(":")[2][:12]
            with task(self.reporter, f"{first} {short}", descriptor.size) as progress:
                progress.advance(incoming.offset)
                source = self._download(blob, incoming, progress)
                progress.outcome = f"pulled from {source}"
                self.sources[source] += descriptor.size

    def _download(self, blob: _PendingBlob, incoming: IncomingBlob, progress: Task) -> str:
        """Fetch a blob from one of the repositories that have it, and return the endpoint."""

        def advance(length: int) -> None:
            progress.advance(length - progress.done)

        repositories = list(
            dict.fromkeys((i.reference.registry, i.reference.repository) for i in blob.images)
        )
        for number, (registry, repository) in enumerate(repositories):

            def download(client: Client, repository: str = repository) -> str:
                download_blob(client, repository, incoming, advance)
                return str(client.endpoint)

            try:
                return self.registries.try_endpoints(registry, download)
            except RegistryError as error:
                if number == len(repositories) - 1:
                    raise _with_foreign_hint(error, blob.descriptor) from None
        raise AssertionError("every blob belongs to an image")

    def _mark_failed(self, blob: _PendingBlob, error: DolmenError) -> None:
        """Mark the images that need the blob as failed, with one reason for each."""
        if not all(image.failed for image in blob.images):
            self.problems += error.diagnostics
        for image in blob.images:
            image.failed = True

    # Names

    def _name(self, images: Sequence[_PendingImage]) -> None:
        """Name the images that are complete.

        Manifests and indexes enter the store only now: a manifest in the store means that its
        image is complete.
        """
        if not images:
            return
        for image in images:
            for document in (*image.tree.documents, image.tree.root):
                self._commit_document(image.reference, document)

        def add_names(names: ImageNames) -> ImageNames:
            for image in images:
                names = names.put(str(image.reference), image.tree.root)
            return names

        self.store.edit(add_names)

    def _report(
        self, images: Sequence[_PendingImage], blobs: Sequence[_PendingBlob], seconds: float
    ) -> None:
        for image in images:
            if image.failed:
                continue
            status = "complete" if any(image in b.images for b in blobs) else "up to date"
            message = f"{image.reference}: {status}, {image.tree.root.digest}"
            self.reporter.emit(LogMessage(message))
        self.reporter.emit(LogMessage(f"pulling took {seconds:.1f} s", level=1))

    def _map_unordered(
        self, items: Iterable[T], work: Callable[[T, bool], R]
    ) -> Iterator[WorkResult[T, R]]:
        run = self.registries
        return map_unordered(items, work, run.options.jobs, run.retries.stop, run.abort)


def _stage(incoming: IncomingBlob, data: bytes) -> None:
    """Keep a manifest in tmp/, where a later run finds it."""
    if not incoming.present and _staged(incoming) != data:
        incoming.restart()
        incoming.write(data)


def _staged(incoming: IncomingBlob) -> bytes:
    """Return a manifest from tmp/, or nothing if the file there does not match."""
    if incoming.offset != incoming.descriptor.size or incoming.offset > MAX_MANIFEST_SIZE:
        return b""
    with wrap_os_errors(incoming.path, "read"):
        data = incoming.path.read_bytes()
    return data if digests.digest_of(data) == incoming.descriptor.digest else b""


def _with_other_images(diagnostic: Diagnostic, images: Sequence[Reference]) -> Diagnostic:
    """Name the other images that cannot be pulled for the same reason: a host is down."""
    others = sorted(str(i) for i in images if str(i) not in diagnostic.message)
    if len(images) < 2 or not others:
        return diagnostic
    listed = ", ".join(others[:_MOST_NAMES]) + (" …" if len(others) > _MOST_NAMES else "")
    count = pluralize(len(others), "other image")
    hint = f"{count} cannot be pulled for this reason: {listed}"
    return replace(diagnostic, hints=(*diagnostic.hints, hint))


def _with_foreign_hint(error: RegistryError, descriptor: Descriptor) -> RegistryError:
    """Add a hint that a foreign layer may be missing on purpose."""
    if not any(word in descriptor.media_type for word in _FOREIGN):
        return error
    first, *others = error.diagnostics
    hint = "registries may not distribute this layer; URLs in manifests are not followed"
    return RegistryError([replace(first, hints=(*first.hints, hint)), *others])
