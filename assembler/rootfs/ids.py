"""User and group ids: numbers, root, and names of containers, which have numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.required_images import SECTIONS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from assembler.config import Config, Id

FIRST_ID = 100
LARGEST_ID = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Ids:
    """The numbers of names in this system."""

    numbers: Mapping[str, int]

    @classmethod
    def of(cls, config: Config) -> Ids:
        """Number all containers from 100 on; of equal names the last one counts."""
        names = [c.name for section in SECTIONS for c in getattr(config, section)]
        return cls({name: FIRST_ID + number for number, name in enumerate(names)})

    def number(self, value: Id | None) -> int:
        """Return the number of an id; None and the empty text are root."""
        if value is None or value in ("", "root"):
            return 0
        if isinstance(value, int):
            if not 0 <= value <= LARGEST_ID:
                raise PlanError.of(
                    rootfs.BAD_ID, f"{value} is not an id: ids go from 0 to {LARGEST_ID}"
                )
            return value
        if value in self.numbers:
            return self.numbers[value]
        hints = []
        if value.isdecimal():
            hints.append(f"write a number without quotes: {int(value)}")
        elif self.numbers:
            names = sorted(self.numbers)
            more = " …" if len(names) > 10 else ""
            hints.append(f"names of ids are root, {', '.join(names[:10])}{more}")
        message = f"{value!r} is not the name of a container"
        raise PlanError.of(rootfs.BAD_ID, message, *hints)
