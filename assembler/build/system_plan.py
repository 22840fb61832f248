"""What a build would assemble, without building it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.build.result import PlannedPart
    from assembler.diagnostics import Diagnostic


@dataclass(frozen=True)
class SystemPlan:
    """What a build would assemble: the parts in order, and the digest of each image."""

    parts: tuple[PlannedPart, ...]
    # Manifest digests by the reference's full name.
    images: Mapping[str, str]
    warnings: tuple[Diagnostic, ...] = ()
