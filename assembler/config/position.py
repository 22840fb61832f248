"""Where each part of a configuration was written, for messages of any later stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.diagnostics import Place


@dataclass(frozen=True, slots=True)
class Positions:
    """The place of a value, of its key if it has one, and of everything inside it."""

    place: Place | None = None
    key: Place | None = None
    children: Mapping[str | int, Positions] = field(default_factory=dict)

    def within(self, *path: str | int) -> Positions:
        """Return the positions of what is at `path`, or of the nearest thing around it."""
        here = self
        for step in path:
            inner = here.children.get(step)
            if inner is None:
                break
            here = inner
        return here

    def of(self, *path: str | int) -> Place | None:
        """Return the place of the value at `path`, or of the nearest thing around it."""
        return self.within(*path).place
