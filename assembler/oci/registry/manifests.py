"""Manifests and indexes of a registry: bounded, with digests computed from their bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.errors import RegistryError
from assembler.oci import digest as digests
from assembler.oci import media_types
from assembler.oci.manifest import (
    MAX_MANIFEST_SIZE,
    Descriptor,
    Index,
    Manifest,
    parse_manifest,
)
from assembler.oci.registry.failures import not_a_registry, wrong_content
from assembler.spelling import nearest_words

if TYPE_CHECKING:
    from assembler.oci.registry.client import Client

_ACCEPT = {"Accept": ", ".join(media_types.ACCEPTED)}
_MOST_TAGS = 200


@dataclass(frozen=True, slots=True)
class FetchedManifest:
    """A manifest or index with its exact bytes."""

    descriptor: Descriptor
    data: bytes
    content: Index | Manifest


def fetch_manifest(client: Client, repository: str, name: str) -> FetchedManifest:
    """Fetch the manifest or index of a tag or digest."""
    url = client.url(client.container(repository, name).manifest_url())
    what, host = client.describe(url), client.endpoint.host
    response = client.do_request(url, headers=_ACCEPT)
    data, headers = response.content, response.headers
    if len(data) > MAX_MANIFEST_SIZE:
        raise wrong_content(what, host, f"more than {MAX_MANIFEST_SIZE >> 20} MiB")
    digest = digests.digest_of(data)
    claimed = name if digests.is_digest(name) else headers.get("Docker-Content-Digest", digest)
    if data.lstrip()[:1] != b"{":
        raise not_a_registry(what, host, data)
    if digests.is_digest(claimed) and claimed != digest:
        raise wrong_content(what, host, f"its digest is {digest} and not {claimed}")
    media_type = headers.get("Content-Type", "").partition(";")[0].strip()
    content = parse_manifest(data, what, media_type)
    return FetchedManifest(Descriptor(content.media_type, digest, len(data)), data, content)


def head_manifest(client: Client, repository: str, name: str) -> str | None:
    """Return the digest of a tag, or None if there is no such tag."""
    url = client.url(client.container(repository, name).manifest_url())
    response = client.do_request(url, "HEAD", headers=_ACCEPT)
    if response.status_code == 404:
        return None
    claimed = response.headers.get("Docker-Content-Digest", "")
    if digests.is_digest(claimed):
        return str(claimed)
    # Some registries omit it in the response to HEAD.
    return fetch_manifest(client, repository, name).descriptor.digest


def similar_tags(client: Client, repository: str, tag: str) -> tuple[str, ...]:
    """Return tags similar to a missing one, if the registry lists its tags."""
    try:
        tags = [str(t) for t in client.get_tags(client.container(repository), N=_MOST_TAGS)]
    except (RegistryError, ValueError, TypeError, AttributeError):
        return ()  # only for a hint; oras raises any of these for a malformed list
    close = nearest_words(tag, tags, 5)
    return tuple(close or sorted(tags)[-5:])
