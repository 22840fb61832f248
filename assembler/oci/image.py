"""An image of one platform, resolved to digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.oci.manifest import Descriptor, ImageConfig, Manifest
    from assembler.oci.reference import Reference
    from assembler.oci.salvaged_image import SalvagedImage


@dataclass(frozen=True, slots=True)
class Image:
    """The verified manifest and config of an image, with the reference that named it."""

    reference: Reference
    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    # The index that lists the manifest, its attestations and other platforms.
    index: Descriptor | None = None
    # Where the content comes from if the layers are gone.
    salvaged: SalvagedImage | None = None

    @property
    def digest(self) -> str:
        """Return the manifest's digest, which identifies all of the content."""
        return self.descriptor.digest

    @property
    def layer_bytes(self) -> int:
        """Return the size of all layers in the store."""
        return sum(layer.size for layer in self.manifest.layers)
