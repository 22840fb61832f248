"""What a build returns: outputs, the parts of the system, warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.diagnostics import Diagnostic
    from assembler.formats import Output


@dataclass(frozen=True)
class PlannedPart:
    """One part of a system: where it comes from, and where it goes."""

    # The image, or the file of the YAML.
    source: str | None
    # The section of the YAML that asks for it.
    location: str | None
    # The directory that an image's tree is laid out in.
    prefix: str | None
    # The manifest's digest, for parts that come from an image.
    digest: str | None

    def as_json(self) -> dict[str, str | None]:
        """Return the part for scripts."""
        return {
            "source": self.source,
            "location": self.location,
            "prefix": self.prefix,
            "digest": self.digest,
        }


@dataclass(frozen=True)
class BuildResult:
    """The outputs of a build, and what they were made from."""

    outputs: tuple[Output, ...]
    parts: tuple[PlannedPart, ...]
    warnings: tuple[Diagnostic, ...] = ()
    # The time that each stage took.
    seconds: Mapping[str, float] = field(default_factory=dict)
    # Nothing had changed since an earlier build, whose outputs these are.
    unchanged: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the result for scripts; the digests of files are computed."""
        return {
            "unchanged": self.unchanged,
            "outputs": [o.with_digest().as_json() for o in self.outputs],
            "parts": [part.as_json() for part in self.parts],
            "seconds": dict(self.seconds),
            "warnings": [w.as_json() for w in self.warnings],
            "errors": [],
        }
