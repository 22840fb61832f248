"""User and group ids: numbers, root, and the names of containers, each of which has a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.needs import SECTIONS

if TYPE_CHECKING:
    from assembler.config.model import Config, Id

FIRST_ID = 100
LARGEST_ID = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Ids:
    """The numbers that names stand for in this system."""

    numbers: Mapping[str, int]

    @classmethod
    def of(cls, config: Config) -> Ids:
        """Number all containers from 100 on; of equal names the last one's number counts."""
        names = [c.name for section in SECTIONS for c in getattr(config, section)]
        return cls({name: FIRST_ID + number for number, name in enumerate(names)})

    def number(self, given: Id | None) -> int:
        """Return the number that `given` stands for; not given and empty are root."""
        if given is None or given in ("", "root"):
            return 0
        if isinstance(given, int):
            if not 0 <= given <= LARGEST_ID:
                raise PlanError.of(
                    rootfs.BAD_ID, f"{given} is not an id: ids go from 0 to {LARGEST_ID}"
                )
            return given
        if given in self.numbers:
            return self.numbers[given]
        hints = []
        if given.isdecimal():
            hints.append(f"a number is written without quotes: {int(given)}")
        elif self.numbers:
            names = sorted(self.numbers)
            more = " …" if len(names) > 10 else ""
            hints.append(f"names of ids are root, {', '.join(names[:10])}{more}")
        message = f"there is no container named {given!r} whose id could be meant"
        raise PlanError.of(rootfs.BAD_ID, message, *hints)
