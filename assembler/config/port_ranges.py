"""Ranges of ports: `80`, `80/tcp`, `8000-8010/udp`, in YAML files and in image configs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

MAX_PORT = 65535
PROTOCOLS = ("tcp", "udp", "sctp")
_FORM = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp|sctp))?")


@dataclass(frozen=True, slots=True, order=True)
class PortRange:
    """Ports of a protocol, from the first to the last."""

    protocol: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the range, whose end may be before its start; None for any other text."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        first, last = int(found[1]), int(found[2] or found[1])
        if not (1 <= first <= MAX_PORT and 1 <= last <= MAX_PORT):
            return None
        return cls(found[3] or "tcp", first, last)

    def __str__(self) -> str:
        """Return the short form with its protocol."""
        ports = str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports}/{self.protocol}"
