"""Pushing images of the store to registries, blobs first, tags last.

Before the first upload, the image must be complete in the store, and no tag may belong to another
image. Blobs that the registry has are not sent; those of another repository are mounted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.codes import registries as codes
from assembler.errors import DolmenError, ImageError, RegistryError
from assembler.events import LogMessage, NullReporter, pluralize, task
from assembler.oci.manifest import Descriptor, parse_image_config
from assembler.oci.reference import Reference
from assembler.oci.registry.blob_upload import BlobUpload, push_manifest
from assembler.oci.registry.manifests import head_manifest
from assembler.oci.registry.options import RegistryOptions
from assembler.oci.registry.registries import Registries, open_registries
from assembler.oci.registry.workers import map_unordered
from assembler.oci.store.image_contents import ContentsReader, ImageContents
from assembler.oci.store.image_lookup import equivalent_names, other_registries_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.diagnostics import Diagnostic
    from assembler.events import Reporter
    from assembler.oci.registry.client import Client
    from assembler.oci.store import ImageNames, Store
    from assembler.oci.store.image_contents import StoredManifest

# How many other images are searched for repositories to mount blobs from.
_MOST_NEIGHBOURS = 200


@dataclass(frozen=True, slots=True)
class PushOptions:
    """The names under which images are pushed, and how to reach registries."""

    registries: RegistryOptions = field(default_factory=RegistryOptions)
    # The target, if not the image's own name.
    remote_name: Reference | None = None
    # Push the image of each platform as TAG-ARCH, too.
    arch_tags: bool = False
    # Replace tags of other images.
    override: bool = False


@dataclass(frozen=True, slots=True)
class PushedImage:
    """A pushed image and its tags."""

    target: Reference
    descriptor: Descriptor
    tags: tuple[str, ...]
    # How many blobs were pushed, mounted or already there.
    blobs: Counter[str] = field(default_factory=Counter)


def push(
    store: Store,
    references: Sequence[Reference],
    options: PushOptions,
    reporter: Reporter | None = None,
) -> tuple[PushedImage, ...]:
    """Push images to their registries; one failure does not stop the others."""
    pushed: list[PushedImage] = []
    problems: list[Diagnostic] = []
    with store.in_use(), open_registries(options.registries, reporter) as registries:
        run = _PushRun(store, registries, options, reporter or NullReporter(), store.names())
        for reference in references:
            try:
                pushed.append(run.push(reference))
            except DolmenError as error:
                if not isinstance(error, ImageError | RegistryError):
                    raise
                problems += error.diagnostics
    if problems:
        raise RegistryError(problems)
    return tuple(pushed)


@dataclass(slots=True)
class _PushRun:
    store: Store
    registries: Registries
    options: PushOptions
    reporter: Reporter
    names: ImageNames

    def push(self, reference: Reference) -> PushedImage:
        target = self.options.remote_name or reference
        client = self.registries.origin(target.registry)
        top = self._top(reference)
        contents = ContentsReader(self.store).contents(top)
        self._check_complete(reference, target, contents, client)
        tags = self._tags(reference, target, top, contents)
        up_to_date = self._check_tags(target, tags, client)
        if up_to_date:
            self.reporter.emit(LogMessage(f"{target}: there already, {top.digest}"))
            return PushedImage(target, top, tuple(tags))
        counts = self._send_blobs(target, contents, client)
        self._send_documents(target, top, contents, tags, client)
        return PushedImage(target, top, tuple(tags), counts)

    def _top(self, reference: Reference) -> Descriptor:
        """Return the store's descriptor of the image, an index rather than a manifest."""
        candidates = [
            entry.descriptor
            for form in equivalent_names(reference)
            for entry in self.names.named(form)
            if reference.digest in ("", entry.descriptor.digest)
        ]
        if not candidates:
            raise ImageError.of(
                images.NOT_IN_STORE,
                f"{reference} is not in the store",
                *filter(None, [other_registries_hint(reference, self.names)]),
                "`dolmen cache ls` shows what is",
            )
        return min(candidates, key=lambda d: not d.is_index)

    def _check_complete(
        self, reference: Reference, target: Reference, contents: ImageContents, client: Client
    ) -> None:
        """Raise if a part of the image is neither in the store nor at the registry."""
        missing = [*contents.missing]
        if contents.unreadable:
            missing += contents.blobs.values()
        missing += [
            child
            for child in contents.not_fetched
            if head_manifest(client, target.repository, child.digest) is None
        ]
        if missing:
            platforms = sorted({str(d.platform) for d in missing if d.platform})
            platform_list = f" ({', '.join(platforms)})" if platforms else ""
            parts = pluralize(len(missing), "part")
            raise ImageError.of(
                codes.INCOMPLETE_IMAGE,
                f"{reference}: {parts} not found in the store{platform_list}",
                f"`dolmen cache pull {reference}` fetches all platforms",
            )

    def _tags(
        self, reference: Reference, target: Reference, top: Descriptor, contents: ImageContents
    ) -> dict[str, Descriptor]:
        """Return the descriptor of each tag; an image without a tag is pushed by digest."""
        tags = {target.tag or top.digest: top}
        if not self.options.arch_tags or not target.tag:
            return tags
        leaves = {self._platform(reference, leaf): leaf for leaf in contents.images}
        architectures = Counter(architecture for architecture, _ in leaves)
        for (architecture, variant), leaf in leaves.items():
            several = architectures[architecture] > 1 and variant
            suffix = f"{architecture}-{variant}" if several else architecture
            tags[f"{target.tag}-{suffix}"] = leaf.descriptor
        return tags

    def _platform(self, reference: Reference, leaf: StoredManifest) -> tuple[str, str]:
        platform = leaf.descriptor.platform
        if platform is None or not platform.architecture:
            what = f"{reference}, config"
            platform = parse_image_config(
                self.store.read(leaf.manifest.config, what), what
            ).platform
        return platform.architecture or "unknown", platform.variant

    def _check_tags(self, target: Reference, tags: dict[str, Descriptor], client: Client) -> bool:
        """Raise if a tag belongs to another image; tell whether all tags are already there."""
        matching = 0
        for tag, descriptor in tags.items():
            digest = head_manifest(client, target.repository, tag)
            matching += digest == descriptor.digest
            if digest in (None, descriptor.digest) or self.options.override:
                continue
            raise RegistryError.of(
                codes.TAG_EXISTS,
                f"{replace(target, tag=tag, digest='')} stands for another image there, {digest}",
                "--override replaces it",
            )
        return matching == len(tags)

    def _send_blobs(
        self, target: Reference, contents: ImageContents, client: Client
    ) -> Counter[str]:
        blobs = {
            d.digest: d
            for leaf in contents.leaves
            for d in (leaf.manifest.config, *leaf.manifest.layers)
        }
        mount_sources = self._mount_sources(target, set(blobs))
        counts: Counter[str] = Counter()
        problems: list[DolmenError] = []

        def send(blob: Descriptor, _patient: object) -> str:
            if problems:
                return ""  # the push has failed: send no more of it
            upload = BlobUpload(
                self.store, client, target.repository, blob, mount_sources.get(blob.digest, "")
            )
            short = blob.digest.partition(":")[2][:12]
            with task(self.reporter, f"{target} {short}", blob.size) as current:
                current.outcome = upload.send(lambda at: current.advance(at - current.done))
            return current.outcome

        run = self.registries
        largest_first = sorted(blobs.values(), key=lambda d: (-d.size, d.digest))
        for outcome in map_unordered(
            largest_first, send, run.options.jobs, run.retries.stop, run.abort
        ):
            if outcome.error is not None:
                problems.append(outcome.error)
            counts[outcome.result or ""] += 1
        if problems:
            raise problems[0]
        return counts

    def _mount_sources(self, target: Reference, digests: set[str]) -> dict[str, str]:
        """Return repositories of the registry that may have some of the blobs, by digest."""
        repositories: dict[str, str] = {}
        walker = ContentsReader(self.store)
        for entry in self.names.entries[:_MOST_NEIGHBOURS]:
            for name in entry.names:
                try:
                    other = Reference.parse(name)
                except ImageError:
                    continue
                if other.registry != target.registry or other.repository == target.repository:
                    continue
                for digest in digests & walker.contents(entry.descriptor).blobs.keys():
                    repositories.setdefault(digest, other.repository)
        return repositories

    def _send_documents(
        self,
        target: Reference,
        top: Descriptor,
        contents: ImageContents,
        tags: dict[str, Descriptor],
        client: Client,
    ) -> None:
        """Push manifests, then indexes, then tags, the tag of all platforms last."""
        inner = [leaf.descriptor for leaf in contents.leaves if leaf.descriptor != top]
        indexes = [d for d in contents.blobs.values() if d.is_index and d.digest != top.digest]
        for descriptor in (*inner, *reversed(indexes)):
            self._put(target, descriptor.digest, descriptor, client)
        for tag, descriptor in reversed(tags.items()):
            self._put(target, tag, descriptor, client)
            at = "@" if tag == descriptor.digest else ":"
            self.reporter.emit(LogMessage(f"{target.name}{at}{tag}: pushed, {descriptor.digest}"))

    def _put(self, target: Reference, name: str, descriptor: Descriptor, client: Client) -> None:
        data = self.store.read(descriptor, str(target))
        push_manifest(client, target.repository, name, descriptor.media_type, data)
