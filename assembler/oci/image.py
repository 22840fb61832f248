"""An image of one platform, resolved to digests: what all later stages work with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.oci.manifest import Descriptor, ImageConfig, Manifest
    from assembler.oci.reference import Reference
    from assembler.oci.salvaged_image import SalvagedImage


@dataclass(frozen=True, slots=True)
class Image:
    """A manifest and config that are in the store, verified, under the name they were asked by."""

    reference: Reference
    descriptor: Descriptor
    manifest: Manifest
    config: ImageConfig
    # The index the manifest was found in: where attestations and further platforms are.
    index: Descriptor | None = None
    # Where the content comes from if the layers cannot be had.
    salvaged: SalvagedImage | None = None

    @property
    def digest(self) -> str:
        """Return the manifest's digest, which stands for all of the content."""
        return self.descriptor.digest

    @property
    def layer_bytes(self) -> int:
        """Return the size of all layers as they are stored."""
        return sum(layer.size for layer in self.manifest.layers)
