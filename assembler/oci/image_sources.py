"""Where images come from: the local Docker daemon, the store, then registries."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.oci.image_limits import MAX_IMAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from assembler.events import Reporter
    from assembler.oci.layers import LayerLimits
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.registry.options import RegistryOptions
    from assembler.oci.store import Store
    from assembler.oci.store.image_fetcher import ImageFetcher


def default_store() -> Path:
    """Return the default directory of the store."""
    return Path.home() / ".cache" / "dolmen"


@dataclass(frozen=True, kw_only=True)
class ImageSources:
    """Where images may come from, in this order: the Docker daemon, the store, registries."""

    store: Path = field(default_factory=default_store)
    # How registries are reached: options, or a function that returns them and is called only if a
    # registry is needed. By default, without mirrors and credentials.
    registries: RegistryOptions | Callable[[], RegistryOptions] | None = None
    # No socket is opened; a missing image is an error.
    offline: bool = False
    # Re-check registries for images that the store has: tags may have moved.
    pull: bool = False
    # Take images from the local Docker daemon first.
    docker: bool = False
    # Built on this machine: a registry is asked for these only if the store lacks them.
    local: frozenset[Reference] = frozenset()
    # The largest image, uncompressed, in bytes.
    max_image_size: int = MAX_IMAGE_SIZE
    # Fetches missing images instead of the registries.
    fetch: ImageFetcher | None = None

    def open_store(self) -> Store:
        """Return the store."""
        from assembler.oci.store import Store  # noqa: PLC0415 - an unchanged build opens no store

        return Store(self.store)

    def registry_options(self) -> RegistryOptions:
        """Return how registries are reached."""
        if callable(self.registries):
            return self.registries()
        if self.registries is not None:
            return self.registries
        from assembler.oci.registry.options import RegistryOptions  # noqa: PLC0415 - 6 ms

        return RegistryOptions()

    def layer_limits(self) -> LayerLimits:
        """Return the limits of the layers of an image."""
        from assembler.oci.layers import LayerLimits  # noqa: PLC0415 - an unchanged build reads no layer

        return LayerLimits(image=self.max_image_size)

    def fetcher(self) -> ImageFetcher | None:
        """Return what fetches missing images, if any may be fetched."""
        if self.offline:
            return None
        return self.fetch or self._fetch_from_registries

    def rechecks(self, reference: Reference) -> bool:
        """Tell whether a registry is asked for an image that the store has."""
        moving = not reference.pinned and reference not in self.local
        return self.pull and not self.offline and moving

    def _fetch_from_registries(
        self, store: Store, references: Sequence[Reference], platform: Platform, reporter: Reporter
    ) -> None:
        from assembler.oci.image_pull import PullOptions, pull  # noqa: PLC0415 - requests: 60 ms

        options = PullOptions(self.registry_options(), (platform,), self.max_image_size)
        pull(store, references, options, reporter)
