"""Packages at registries: whether an image is there, pushing it, indexes and tags made there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.codes import registries as registry_codes
from assembler.errors import DolmenError, PackageError
from assembler.events import LogMessage
from assembler.oci import (
    Index,
    Platform,
    PullOptions,
    PushOptions,
    RegistryFailure,
    RetryPolicy,
    canonical_json,
    fetch_manifest,
    media_types,
    open_registries,
    pull,
    push,
    push_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.oci import Client, Descriptor, FetchedManifest, Reference, RegistryOptions, Store

# What a registry says of a name that it does not have; many say it to everybody they do not know.
_NOT_THERE = (registry_codes.NOT_FOUND, registry_codes.ACCESS_DENIED)


@dataclass(frozen=True, slots=True)
class Remote:
    """The registries, as packages are looked for, pushed and tagged there."""

    options: RegistryOptions

    def platforms(self, reference: Reference, reporter: Reporter) -> tuple[Platform, ...]:
        """Return for which platforms a registry has the image; none if it cannot be asked.

        A registry that does not answer does not keep a package from being built, so it is not
        waited for as long as when something is wanted of it.
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
            reporter.emit(LogMessage(f"{reference}: not built before, says {_short(error)}", 1))
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
        """Bring the image into the store."""
        pull(store, [reference], PullOptions(self.options, platforms), reporter)

    def push(
        self, store: Store, names: Sequence[Reference], reporter: Reporter, *, override: bool
    ) -> None:
        """Send images with all their platforms, each platform under TAG-ARCH as well."""
        options = PushOptions(self.options, arch_tags=True, override=override)
        push(store, names, options, reporter)

    def index(
        self, reference: Reference, architectures: Sequence[str], reporter: Reporter
    ) -> tuple[Platform, ...]:
        """Make the index of what a registry has as TAG-ARCH, and return the platforms in it."""
        with open_registries(self.options, reporter) as registries:
            client = registries.origin(reference.registry)
            found: list[Descriptor] = []
            for architecture in architectures:
                tag = f"{reference.tag}-{architecture}"
                document = _fetched(client, replace(reference, tag=tag))
                if document is not None:
                    found += _described(document, Platform.parse(architecture))
            if not found:
                raise PackageError.of(
                    packages.NOT_PUSHED,
                    f"the registry has none of {reference}-{'|'.join(architectures)}",
                    "push the images of the architectures first: dolmen pkg push",
                )
            index = {
                "schemaVersion": 2,
                "mediaType": media_types.OCI_INDEX,
                "manifests": [d.as_json() for d in found],
            }
            data = canonical_json(index)
            push_manifest(client, reference.repository, reference.tag, media_types.OCI_INDEX, data)
        return tuple(d.platform for d in found if d.platform and not d.attested_digest)

    def tag(self, source: Reference, target: Reference, reporter: Reporter) -> str:
        """Give what a registry has under one name another tag, and return its digest."""
        if (source.registry, source.repository) != (target.registry, target.repository):
            raise PackageError.of(
                packages.BAD_NAME,
                f"{target.name} is another repository than {source.name}",
                "a tag stands for an image of its own repository; `dolmen cache pull` and "
                "`dolmen cache push --remote-name` copy an image to another one",
            )
        with open_registries(self.options, reporter) as registries:
            client = registries.origin(source.registry)
            found = fetch_manifest(client, source.repository, source.tag_or_digest)
            kind = found.descriptor.media_type
            push_manifest(client, target.repository, target.tag_or_digest, kind, found.data)
        return found.descriptor.digest


def _fetched(client: Client, reference: Reference) -> FetchedManifest | None:
    try:
        return fetch_manifest(client, reference.repository, reference.tag_or_digest)
    except RegistryFailure as error:
        if error.code in _NOT_THERE:
            return None
        raise


def _described(document: FetchedManifest, platform: Platform) -> list[Descriptor]:
    """Return what stands under the tag of an architecture as an index lists it."""
    content = document.content
    if isinstance(content, Index):
        return [*content.manifests]
    return [replace(document.descriptor, platform=platform)]


def _short(error: DolmenError) -> str:
    code = error.code if isinstance(error, RegistryFailure) else error.diagnostics[0].code
    if code in _NOT_THERE:
        return "its registry"
    return f"no one ({error.diagnostics[0].message})"
