"""Manifest trees: the manifests and blobs of an image for the wanted platforms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.codes import images
from assembler.errors import ImageError
from assembler.oci.manifest import Descriptor, Index, Manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from assembler.oci.platform import Platform

_DEEPEST_INDEX = 8
# No real image has more; larger indexes would take hours.
_MOST_DOCUMENTS = 1000
_MOST_BYTES = 32 << 20


@dataclass(slots=True)
class ManifestTree:
    """The manifests of an image for the wanted platforms."""

    root: Descriptor
    # All wanted manifests and indexes below the root, children before parents.
    documents: list[Descriptor] = field(default_factory=list)
    manifests: list[tuple[Descriptor, Manifest]] = field(default_factory=list)

    def blobs(self) -> Iterator[Descriptor]:
        """Yield configs and layers, each once."""
        seen: set[str] = set()
        for _, manifest in self.manifests:
            for blob in (manifest.config, *manifest.layers):
                if blob.digest not in seen:
                    seen.add(blob.digest)
                    yield blob


@dataclass(slots=True)
class _ManifestEntry:
    descriptor: Descriptor
    attested_digest: str = ""


def read_manifest_tree(
    name: str,
    root: Descriptor,
    content: Index | Manifest,
    read: Callable[[Descriptor], Index | Manifest],
    platforms: Sequence[Platform],
) -> ManifestTree:
    """Return the tree below `root`: for some platforms with their attestations, or all of it."""
    tree = ManifestTree(root)
    if isinstance(content, Manifest):
        tree.manifests.append((root, content))
        return tree
    budget = _MOST_BYTES

    def read_bounded(descriptor: Descriptor) -> Index | Manifest:
        nonlocal budget
        budget -= descriptor.size
        if budget < 0:
            raise ImageError.of(
                images.BAD_MANIFEST,
                f"{name}: its manifests are larger than {_MOST_BYTES >> 20} MiB",
            )
        return read(descriptor)

    leaves = list(_leaves(name, content, read_bounded, tree, 0))
    if not leaves:
        raise ImageError.of(images.BAD_MANIFEST, f"{name}: its index leads to no image")
    for leaf in _select_manifests(name, leaves, platforms) if platforms else leaves:
        if any(d.digest == leaf.descriptor.digest for d, _ in tree.manifests):
            continue
        manifest = read_bounded(leaf.descriptor)
        if isinstance(manifest, Index):
            raise ImageError.of(images.BAD_MANIFEST, f"{name}: an index calls itself a manifest")
        tree.manifests.append((leaf.descriptor, manifest))
    tree.documents[:0] = [d for d, _ in tree.manifests]
    return tree


def _leaves(
    name: str,
    index: Index,
    read: Callable[[Descriptor], Index | Manifest],
    tree: ManifestTree,
    depth: int,
) -> Iterator[_ManifestEntry]:
    """Yield the manifests below an index; the indexes on the way go into the tree."""
    if depth > _DEEPEST_INDEX:
        raise ImageError.of(images.BAD_MANIFEST, f"{name}: its indexes are nested too deeply")
    if len(index.manifests) + len(tree.documents) > _MOST_DOCUMENTS:
        raise ImageError.of(
            images.BAD_MANIFEST, f"{name}: its index lists more than {_MOST_DOCUMENTS} manifests"
        )
    for child in index.manifests:
        if not child.is_index:
            yield _ManifestEntry(child, child.attested_digest)
            continue
        content = read(child)
        if isinstance(content, Manifest):
            raise ImageError.of(images.BAD_MANIFEST, f"{name}: a manifest calls itself an index")
        if len(tree.documents) >= _MOST_DOCUMENTS:
            raise ImageError.of(images.BAD_MANIFEST, f"{name}: it has too many indexes")
        yield from _leaves(name, content, read, tree, depth + 1)
        tree.documents.append(child)


def _select_manifests(
    name: str, leaves: list[_ManifestEntry], platforms: Sequence[Platform]
) -> list[_ManifestEntry]:
    """Return the best manifest for each platform, with its attestations."""
    selected: list[_ManifestEntry] = []
    for platform in platforms:
        ranked = [
            (rank, number)
            for number, leaf in enumerate(leaves)
            if not leaf.attested_digest and (rank := _rank(leaf.descriptor, platform)) is not None
        ]
        if not ranked:
            raise _no_platform(name, leaves, platform)
        selected.append(leaves[min(ranked)[1]])
    # Manifests without a platform are included: only their configs name it.
    selected += [
        leaf for leaf in leaves if not leaf.attested_digest and _is_silent(leaf.descriptor)
    ]
    digests = {leaf.descriptor.digest for leaf in selected}
    return selected + [leaf for leaf in leaves if leaf.attested_digest in digests]


def _is_silent(descriptor: Descriptor) -> bool:
    return descriptor.platform is None or not descriptor.platform.architecture


def _rank(descriptor: Descriptor, platform: Platform) -> int | None:
    if descriptor.platform is None or _is_silent(descriptor):
        return 1000
    return descriptor.platform.rank(platform)


def _no_platform(name: str, leaves: Sequence[_ManifestEntry], platform: Platform) -> ImageError:
    available = sorted(
        {
            str(leaf.descriptor.platform)
            for leaf in leaves
            if leaf.descriptor.platform and leaf.descriptor.platform.architecture != "unknown"
        }
    )
    return ImageError.of(
        images.PLATFORM_NOT_FOUND,
        f"{name} has {', '.join(available) or 'no image'}, not {platform}",
    )
