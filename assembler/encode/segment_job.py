"""Jobs that make segments, and their shared context as data for other processes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol

from assembler.encode import newc_encoder, salvaged_trees, tar_encoder
from assembler.encode.segment_cache import SegmentCache
from assembler.oci import LayerBlob, LayerLimits

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.encode.compression import Compression
    from assembler.oci import Image, Store


@dataclass(frozen=True, slots=True)
class ArchiveEncoding:
    """The encoding of a tree: tar, or newc with a compression."""

    compression: Compression | None = None

    @property
    def identity(self) -> str:
        """Return what determines the encoded bytes."""
        if self.compression is None:
            return f"tar/{tar_encoder.VERSION}"
        return f"newc/{newc_encoder.VERSION}/{self.compression.identity}"


TAR_ENCODING = ArchiveEncoding()


@dataclass(frozen=True, slots=True)
class JobContext:
    """The store, the limits and the segment cache that jobs use."""

    store: Store
    limits: LayerLimits = field(default_factory=LayerLimits)
    # The segment cache, if it is not the one of the store.
    segments: Path | None = None

    def layers(self, image: Image) -> list[LayerBlob]:
        """Return an image's layers, lowest first."""
        if image.salvaged is not None:
            return [salvaged_trees.root_files_layer(image.salvaged)]
        what = str(image.reference)
        return [
            LayerBlob(d.digest, d.size, partial(self.store.open, d, what))
            for d in image.manifest.layers
        ]

    @property
    def cache(self) -> SegmentCache:
        """Return the segment cache."""
        return SegmentCache(self.segments or self.store.layout.segments)


class SegmentJob(Protocol):
    """A job that makes segments."""

    @property
    def image(self) -> Image:
        """The image that it reads."""

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The names of its segments."""

    @property
    def title(self) -> str:
        """A description for users."""

    def run(self, sources: JobContext) -> None:
        """Make the segments."""
