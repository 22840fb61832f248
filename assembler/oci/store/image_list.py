"""The list of images in a store: names, platforms, sizes, times of last use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from assembler.codes import images
from assembler.diagnostics import Diagnostic
from assembler.errors import ImageError
from assembler.oci.manifest import parse_image_config
from assembler.oci.reference import Reference
from assembler.oci.store.image_contents import ContentsReader, list_blob_files
from assembler.oci.store.image_lookup import equivalent_names, other_registries_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.oci.manifest import Descriptor
    from assembler.oci.platform import Platform
    from assembler.oci.store.image_contents import StoredManifest
    from assembler.oci.store.image_store import Store
    from assembler.oci.store.names import ImageNames, IndexEntry


@dataclass(frozen=True, slots=True)
class ListedImage:
    """One name of the store, and its image or index."""

    name: str
    descriptor: Descriptor
    platforms: tuple[Platform, ...]
    # Listed in its index, but not in the store.
    not_fetched: tuple[Platform, ...]
    size: int
    used: float
    complete: bool

    def as_json(self) -> dict[str, Any]:
        """Return the entry for scripts."""
        return {
            "name": self.name,
            "digest": self.descriptor.digest,
            "mediaType": self.descriptor.media_type,
            "platforms": [str(p) for p in self.platforms],
            "notFetched": [str(p) for p in self.not_fetched],
            "size": self.size,
            "used": datetime.fromtimestamp(int(self.used), UTC).isoformat(),
            "complete": self.complete,
        }


def list_images(store: Store, names: ImageNames | None = None) -> tuple[ListedImage, ...]:
    """Return the images of the store, by name."""
    walker = ContentsReader(store)
    found = {b.digest: b for b in list_blob_files(store)}
    rows = []
    for entry in (names or store.names()).entries:
        contents = walker.contents(entry.descriptor)
        here = [found[d] for d in contents.blobs if d in found]
        tops = {leaf.descriptor.digest for leaf in contents.leaves} | {entry.descriptor.digest}
        platforms = (platform_of(store, leaf) for leaf in contents.images)
        others = (d.platform for d in contents.not_fetched if not d.attested_digest)
        rows.append(
            ListedImage(
                entry.name,
                entry.descriptor,
                tuple(dict.fromkeys(p for p in platforms if p is not None)),
                tuple(dict.fromkeys(p for p in others if p is not None)),
                sum(b.size for b in here),
                max((b.used for b in here if b.digest in tops), default=0.0),
                contents.usable,
            )
        )
    return tuple(sorted(rows, key=lambda r: (r.name, r.descriptor.digest)))


def platform_of(store: Store, leaf: StoredManifest) -> Platform | None:
    """Return the platform of an image, from its index or its config."""
    if leaf.descriptor.platform is not None:
        return leaf.descriptor.platform
    try:
        platform = parse_image_config(store.read(leaf.manifest.config), "config").platform
    except ImageError:
        return None
    return platform if platform.architecture else None


def find_entries(names: ImageNames, text: str) -> tuple[IndexEntry, ...]:
    """Return the entries of the name `text`, or of an equivalent name."""
    exact = names.named(text)
    if exact:
        return exact
    for form in equivalent_names(Reference.parse(text)):
        found = names.named(form)
        if found:
            return found
    return ()


def find_named_entries(names: ImageNames, texts: Sequence[str]) -> list[IndexEntry]:
    """Return the entries of several names; unknown names are an error."""
    found = {text: find_entries(names, text) for text in texts}
    unknown = [Reference.parse(text) for text, entries in found.items() if not entries]
    if unknown:
        raise ImageError([_unknown_name(reference, names) for reference in unknown])
    return [entry for entries in found.values() for entry in entries]


def _unknown_name(reference: Reference, names: ImageNames) -> Diagnostic:
    hints = (other_registries_hint(reference, names), "`dolmen cache ls` lists the store")
    message = f"{reference} is not in the store"
    return Diagnostic(images.NOT_IN_STORE, message, hints=tuple(filter(None, hints)))
