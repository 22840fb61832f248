"""Inspections: kind, facts, nested parts and files of a piece of data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from assembler.codes import output as codes
from assembler.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# More would repeat what the inspection shows.
_MAX_DAMAGES = 3
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
    # Whether the problem is damage, and not what this program does not read.
    damaged: bool = False

    def damages(self) -> Iterator[str]:
        """Yield the problems of damaged data, its own and those of nested data."""
        if self.damaged:
            yield self.problem
        for _, part in self.parts:
            yield from part.damages()

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


def check_undamaged(found: Inspection, path: Path) -> None:
    """Raise an error if something in a file is cut short or corrupt."""
    damages = list(found.damages())[:_MAX_DAMAGES]
    if damages:
        raise OutputError.of(
            codes.DAMAGED_FILE,
            f"{path} is damaged: {'; '.join(damages)}",
            "copy or build it again; what is before the damage is shown above",
        )
