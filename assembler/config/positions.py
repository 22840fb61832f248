"""The places of all values of a YAML file, for the messages of later stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Positions:
    """The place of a value, of its key if it has one, and of all values inside it."""

    place: Place | None = None
    key: Place | None = None
    children: Mapping[str | int, Positions] = field(default_factory=dict)
    # The text of a plain scalar whose value is not a text: 0644, not the number 420.
    written: str | None = None

    def lookup(self, *path: str | int) -> Positions:
        """Return the positions of the value at `path`, or of its nearest ancestor."""
        found = self
        for step in path:
            child = found.children.get(step)
            if child is None:
                break
            found = child
        return found

    def place_of(self, *path: str | int) -> Place | None:
        """Return the place of the value at `path`, or of its nearest ancestor."""
        return self.lookup(*path).place
