"""Bringing images that are missed; what speaks to registries is loaded only when some are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.registry.options import RegistryOptions
    from assembler.oci.store import Store


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Brings what a build misses: the wanted platform of each image, and what is attested of it."""

    registries: RegistryOptions

    def __call__(
        self, store: Store, references: Sequence[Reference], platform: Platform, reporter: Reporter
    ) -> None:
        """Bring the images for the platform, several at once."""
        from assembler.oci.pull import PullOptions, pull  # noqa: PLC0415 - slow to load

        pull(store, references, PullOptions(self.registries, (platform,)), reporter)
