"""Everything known about an image of the store, gathered for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.oci import media
from assembler.oci.platform import host_platform
from assembler.oci.store import Absent, attestations, find, listing, lookup
from assembler.oci.store.listings import entries_of
from assembler.oci.store.names import Names

if TYPE_CHECKING:
    from assembler.oci.image import Image
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store import Listed, Store


@dataclass(frozen=True, slots=True)
class Findings:
    """An image, the documents it is made of as they are, and what stands beside it."""

    image: Image
    listed: Listed
    manifest: dict[str, Any]
    config: dict[str, Any]
    # The index the image was found in, as it is.
    index: dict[str, Any] | None = None

    @property
    def label(self) -> str:
        """Return the text of the label that says how a container of the image is run."""
        return self.image.config.labels.get(media.CONFIG_LABEL, "")

    def as_json(self) -> dict[str, Any]:
        """Return the form for programs."""
        return {
            "name": self.listed.name,
            "digest": self.listed.descriptor.digest,
            "mediaType": self.listed.descriptor.media_type,
            "platforms": [str(p) for p in self.listed.platforms],
            "notFetched": [str(p) for p in self.listed.elsewhere],
            "size": self.listed.size,
            "complete": self.listed.complete,
            "image": self.image.descriptor.as_json(),
            "platform": str(self.image.config.platform),
            "manifest": self.manifest,
            "config": self.config,
            "layers": [layer.as_json() for layer in self.image.manifest.layers],
            "label": self.label or None,
            "index": self.index,
        }


def inspect(store: Store, reference: Reference, platform: Platform | None = None) -> Findings:
    """Return what the store knows of an image: for the platform, else this machine's, else any."""
    names = store.names()
    image = _image(store, reference, platform, names)
    entries = entries_of(names, str(reference))
    rows = listing(store, Names(entries, {}) if entries else names)
    tops = {image.digest} | ({image.index.digest} if image.index else set())
    listed = next((r for r in rows if r.descriptor.digest in tops), rows[0])
    what = str(reference)
    return Findings(
        image,
        listed,
        json.loads(store.read(image.descriptor, what)),
        json.loads(store.read(image.manifest.config, what)),
        json.loads(store.read(image.index, what)) if image.index else None,
    )


def _image(store: Store, reference: Reference, platform: Platform | None, names: Names) -> Image:
    found = lookup(store, reference, platform or host_platform(), names=names)
    if not isinstance(found, Absent):
        return found
    if platform is None:
        entries = entries_of(names, str(reference))
        for row in listing(store, Names(entries, {})) if entries else ():
            for other in row.platforms:
                return find(store, reference, other, names=names)
    raise ImageError([found.diagnostic])


def attested(store: Store, image: Image) -> tuple[str, ...]:
    """Return of what kinds the statements about the image are that the store has."""
    return tuple(
        layer.annotations.get(media.PREDICATE_TYPE, layer.media_type)
        for manifest in attestations(store, image)
        for layer in manifest.layers
    )
