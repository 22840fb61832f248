"""What was found: a kind, facts about it, and what lies in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Fact = str | int | bool | list[str]


@dataclass(slots=True)
class FileEntry:
    """A file of a filesystem or an archive."""

    path: str
    size: int


@dataclass(slots=True)
class Inspection:
    """A piece of data of some kind."""

    kind: str
    size: int
    # In the order in which they are shown.
    facts: dict[str, Fact] = field(default_factory=dict)
    # What lies in it, by the names it has there.
    parts: list[tuple[str, Inspection]] = field(default_factory=list)
    files: list[FileEntry] = field(default_factory=list)
    # What is wrong with it; what follows was not looked at.
    problem: str = ""

    def signers(self) -> Iterator[str]:
        """Yield the fingerprints of the certificates whose signatures hold, of the outermost."""
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
        """Return all of it for scripts."""
        value: dict[str, Any] = {"kind": self.kind, "size": self.size, **self.facts}
        if self.problem:
            value["problem"] = self.problem
        if self.files:
            value["files"] = [{"path": f.path, "size": f.size} for f in self.files]
        if self.parts:
            value["parts"] = [{"name": name, **part.as_json()} for name, part in self.parts]
        return value
