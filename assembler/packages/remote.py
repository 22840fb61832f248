"""Package images at registries: looking them up, pushing them, indexes and tags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.codes import registries as registry_codes
from assembler.errors import DolmenError, PackageError
from assembler.events import LogMessage
from assembler.oci import (
    OCI_INDEX,
    Index,
    Platform,
    PullOptions,
    PushOptions,
    Reference,
    RegistryFailure,
    RetryPolicy,
    canonical_json,
    fetch_manifest,
    open_registries,
    pull,
    push,
    push_manifest,
)
from assembler.packages.jobs import package_name
from assembler.packages.package_reader import read_package

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from assembler.events import Reporter
    from assembler.oci import Client, Descriptor, FetchedManifest, RegistryOptions, Store
    from assembler.packages.options import PackageBuildOptions
    from assembler.packages.tags import PackageName

# Codes of a missing image; many registries deny access instead to strangers.
_NOT_FOUND_CODES = (registry_codes.NOT_FOUND, registry_codes.ACCESS_DENIED)


@dataclass(frozen=True, slots=True)
class PushedIndex:
    """An index that was pushed, and the platforms in it."""

    name: PackageName
    platforms: tuple[Platform, ...]


@dataclass(frozen=True, slots=True)
class RemoteTag:
    """A tag that an image at a registry has got, and the digest of the image."""

    reference: Reference
    digest: str


def push_package_indexes(
    directories: Sequence[Path], options: PackageBuildOptions, reporter: Reporter
) -> list[PushedIndex]:
    """Push the index of each package, made of the images TAG-ARCH at its registry."""
    remote = Remote(options.sources.registry_options())
    pushed = []
    for directory in directories:
        package = read_package(directory, options.build_file)
        name = package_name(package, options)
        platforms = remote.push_index(name.reference(), package.build.arches, reporter)
        pushed.append(PushedIndex(name, platforms))
    return pushed


def tag_remote_image(
    source: str, target: str, registries: RegistryOptions, reporter: Reporter
) -> RemoteTag:
    """Add a tag to an image at its registry; the target is a tag or a full name."""
    image = Reference.parse(source)
    reference = Reference.parse(target if "/" in target else f"{image.name}:{target}")
    if not reference.tag:
        reference = replace(reference, tag="latest")
    digest = Remote(registries).tag(image, reference, reporter)
    return RemoteTag(reference, digest)


@dataclass(frozen=True, slots=True)
class Remote:
    """Package images at registries."""

    options: RegistryOptions

    def platforms(self, reference: Reference, reporter: Reporter) -> tuple[Platform, ...]:
        """Return the platforms of the image at its registry; none if the registry fails.

        The timeout is short, because a package can be built without its registry.
        """
        options = replace(self.options, connect_timeout=3.0, retry_policy=RetryPolicy(attempts=1))
        try:
            with open_registries(options, reporter) as registries:
                document = registries.try_endpoints(
                    reference.registry,
                    lambda client: fetch_manifest(
                        client, reference.repository, reference.tag_or_digest
                    ),
                )
        except DolmenError as error:
            reporter.emit(
                LogMessage(f"{reference} not found at its registry{_failure_reason(error)}", 1)
            )
            return ()
        content = document.content
        if not isinstance(content, Index):
            return ()
        return tuple(d.platform for d in content.manifests if d.platform and not d.attested_digest)

    def fetch(
        self,
        store: Store,
        reference: Reference,
        platforms: tuple[Platform, ...],
        reporter: Reporter,
    ) -> None:
        """Pull the image into the store."""
        pull(store, [reference], PullOptions(self.options, platforms), reporter)

    def push(
        self, store: Store, names: Sequence[Reference], reporter: Reporter, *, override: bool
    ) -> None:
        """Push images with all platforms, each platform as TAG-ARCH, too."""
        options = PushOptions(self.options, arch_tags=True, override=override)
        push(store, names, options, reporter)

    def push_index(
        self, reference: Reference, architectures: Sequence[str], reporter: Reporter
    ) -> tuple[Platform, ...]:
        """Push an index of the images TAG-ARCH at the registry; return its platforms."""
        with open_registries(self.options, reporter) as registries:
            client = registries.origin(reference.registry)
            found: list[Descriptor] = []
            for architecture in architectures:
                tag = f"{reference.tag}-{architecture}"
                document = _try_fetch(client, replace(reference, tag=tag))
                if document is not None:
                    found += _index_entries(document, Platform.parse(architecture))
            if not found:
                raise PackageError.of(
                    packages.NOT_PUSHED,
                    f"none of {reference}-{'|'.join(architectures)} found at the registry",
                    "push the images of the architectures first with `dolmen pkg push`",
                )
            index = {
                "schemaVersion": 2,
                "mediaType": OCI_INDEX,
                "manifests": [d.as_json() for d in found],
            }
            data = canonical_json(index)
            push_manifest(client, reference.repository, reference.tag, OCI_INDEX, data)
        return tuple(d.platform for d in found if d.platform and not d.attested_digest)

    def tag(self, source: Reference, target: Reference, reporter: Reporter) -> str:
        """Add a tag to an image at its registry; return the digest of the image."""
        if (source.registry, source.repository) != (target.registry, target.repository):
            raise PackageError.of(
                packages.BAD_NAME,
                f"{target.name} is not the repository of {source.name}",
                "to copy an image to another repository, use `dolmen cache pull` and "
                "`dolmen cache push --remote-name`",
            )
        with open_registries(self.options, reporter) as registries:
            client = registries.origin(source.registry)
            found = fetch_manifest(client, source.repository, source.tag_or_digest)
            kind = found.descriptor.media_type
            push_manifest(client, target.repository, target.tag_or_digest, kind, found.data)
        return found.descriptor.digest


def _try_fetch(client: Client, reference: Reference) -> FetchedManifest | None:
    try:
        return fetch_manifest(client, reference.repository, reference.tag_or_digest)
    except RegistryFailure as error:
        if error.code in _NOT_FOUND_CODES:
            return None
        raise


def _index_entries(document: FetchedManifest, platform: Platform) -> list[Descriptor]:
    """Return the index entries for the image of an architecture."""
    content = document.content
    if isinstance(content, Index):
        return [*content.manifests]
    return [replace(document.descriptor, platform=platform)]


def _failure_reason(error: DolmenError) -> str:
    code = error.code if isinstance(error, RegistryFailure) else error.diagnostics[0].code
    return "" if code in _NOT_FOUND_CODES else f": {error.diagnostics[0].message}"
