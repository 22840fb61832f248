"""The protocol of image fetchers, which bring images into a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store.image_store import Store


class ImageFetcher(Protocol):
    """Fetches images into a store, under the references of the request.

    It raises a DolmenError that names every image it could not fetch.
    """

    def __call__(
        self, store: Store, references: Sequence[Reference], platform: Platform, reporter: Reporter
    ) -> None:
        """Fetch the images for the platform, several at once."""
