"""Reports about images of the store, for people and for programs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.errors import ImageError
from assembler.oci import media_types
from assembler.oci.platform import host_platform
from assembler.oci.store import (
    MissingImage,
    find_image,
    list_images,
    look_up_image,
    read_attestations,
)
from assembler.oci.store.image_list import find_entries
from assembler.oci.store.names import ImageNames

if TYPE_CHECKING:
    from assembler.oci.image import Image
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store import ListedImage, Store


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image, its documents unchanged, and its entry in the store's list."""

    image: Image
    listed: ListedImage
    manifest: dict[str, Any]
    config: dict[str, Any]
    # The index that lists the image, unchanged.
    index: dict[str, Any] | None = None
    # The predicate types of its attestations.
    attestations: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Return the text of the label that describes a container of the image."""
        return self.image.config.labels.get(media_types.CONFIG_LABEL, "")

    def as_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "name": self.listed.name,
            "digest": self.listed.descriptor.digest,
            "mediaType": self.listed.descriptor.media_type,
            "platforms": [str(p) for p in self.listed.platforms],
            "notFetched": [str(p) for p in self.listed.not_fetched],
            "size": self.listed.size,
            "complete": self.listed.complete,
            "image": self.image.descriptor.as_json(),
            "platform": str(self.image.config.platform),
            "manifest": self.manifest,
            "config": self.config,
            "layers": [layer.as_json() for layer in self.image.manifest.layers],
            "label": self.label or None,
            "index": self.index,
            "attested": list(self.attestations),
        }


def inspect_image(
    store: Store, reference: Reference, platform: Platform | None = None
) -> ImageReport:
    """Report on an image for the platform, else for this machine's, else for any."""
    names = store.names()
    image = _image(store, reference, platform, names)
    entries = find_entries(names, str(reference))
    rows = list_images(store, ImageNames(entries, {}) if entries else names)
    tops = {image.digest} | ({image.index.digest} if image.index else set())
    listed = next((r for r in rows if r.descriptor.digest in tops), rows[0])
    what = str(reference)
    return ImageReport(
        image,
        listed,
        json.loads(store.read(image.descriptor, what)),
        json.loads(store.read(image.manifest.config, what)),
        json.loads(store.read(image.index, what)) if image.index else None,
        attestation_types(store, image),
    )


def _image(
    store: Store, reference: Reference, platform: Platform | None, names: ImageNames
) -> Image:
    found = look_up_image(store, reference, platform or host_platform(), names=names)
    if not isinstance(found, MissingImage):
        return found
    if platform is None:
        entries = find_entries(names, str(reference))
        for row in list_images(store, ImageNames(entries, {})) if entries else ():
            for other in row.platforms:
                return find_image(store, reference, other, names=names)
    raise ImageError([found.diagnostic])


def attestation_types(store: Store, image: Image) -> tuple[str, ...]:
    """Return the predicate types of the image's attestations in the store."""
    return tuple(
        layer.annotations.get(media_types.PREDICATE_TYPE, layer.media_type)
        for manifest in read_attestations(store, image)
        for layer in manifest.layers
    )
