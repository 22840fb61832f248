"""Inspections: kind, facts, nested parts and files of a piece of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Fact = str | int | bool | list[str]


@dataclass(slots=True)
class FileEntry:
    """A file of a filesystem or an archive."""

    path: str
    size: int


@dataclass(slots=True)
class Inspection:
    """What a piece of data is and holds."""

    kind: str
    size: int
    # In the order in which they are shown.
    facts: dict[str, Fact] = field(default_factory=dict)
    # Nested data, by its name.
    parts: list[tuple[str, Inspection]] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)
    # What is wrong with it; data behind that was not inspected.
    problem: str = ""

    def signers(self) -> Iterator[str]:
        """Yield the fingerprints of certificates with valid signatures, of outermost programs."""
        own = [
            str(value).removeprefix("sha256:")
            for key, value in self.facts.items()
            if key.endswith(" certificate")
            and self.facts.get(f"{key.removesuffix(' certificate')} holds")
        ]
        yield from own
        if "signed" not in self.facts:
            for _, part in self.parts:
                yield from part.signers()

    def as_json(self) -> dict[str, Any]:
        """Return the inspection as JSON."""
        value: dict[str, Any] = {"kind": self.kind, "size": self.size, **self.facts}
        if self.problem:
            value["problem"] = self.problem
        if self.files:
            value["files"] = [{"path": f.path, "size": f.size} for f in self.files]
        if self.parts:
            value["parts"] = [{"name": name, **part.as_json()} for name, part in self.parts]
        return value
