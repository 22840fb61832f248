"""How a plan is encoded: its compression, worker processes and limits."""

from __future__ import annotations

from dataclasses import dataclass, field

from assembler.encode.compression import Compression
from assembler.oci import LayerLimits


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How to encode a plan."""

    compression: Compression = field(default_factory=Compression)
    # The number of worker processes.
    jobs: int = 2
    limits: LayerLimits = field(default_factory=LayerLimits)
    # Whether the kernel decides on the compression of initrds.
    is_automatic: bool = False
