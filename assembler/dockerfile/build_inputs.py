"""The inputs of an image besides its Dockerfile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.dockerfile.base_images import BaseImages
    from assembler.dockerfile.context_tree import ContextTree
    from assembler.oci import LayerLimits


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """Everything that an image is built from, besides its Dockerfile."""

    context: ContextTree
    base_images: BaseImages
    # The time of everything created, in seconds since 1970.
    time: int
    # A directory for temporary files.
    workspace: Path
    # The name of the image, for its SBOM.
    name: str = ""
    limits: LayerLimits | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
