"""What the preparation of a build gives: a plan with every image in the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from assembler.build.result import PlannedPart
from assembler.rootfs import ArchiveTree, ImageTree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.encode import SalvageArchive
    from assembler.helper_images import HelperImages
    from assembler.oci import Image, Reference
    from assembler.rootfs import Plan


@dataclass(frozen=True, slots=True)
class PreparedBuild:
    """A plan, and the images that it refers to."""

    plan: Plan
    images: Mapping[Reference, Image]
    # Of all images, those that are data included.
    references: tuple[Reference, ...]
    # Where `source:` is searched, whether it exists or not.
    local_files: tuple[Path, ...]
    helpers: HelperImages
    # The tar of an earlier build, if images may come from one.
    earlier: SalvageArchive | None = None
    # What a tar records of the SPDX document.
    sbom: Mapping[str, Any] | None = None

    def parts(self) -> tuple[PlannedPart, ...]:
        """Return the parts of the system, in order."""
        return tuple(
            PlannedPart(
                part.origin.source,
                part.origin.location,
                part.prefix if isinstance(part, ImageTree) else None,
                part.image.digest if isinstance(part, ImageTree | ArchiveTree) else None,
            )
            for part in self.plan.parts
        )
