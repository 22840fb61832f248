"""Probes: how one kind of data is recognised and inspected, and the inspector that tries them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.errors import DolmenError
from assembler.inspection.result import Inspection
from assembler.inspection.source import CorruptDataError, DataSource, NotReadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_DEPTH = 8
# Probes get the first bytes of a source: up to the descriptors of an ISO volume.
HEAD_SIZE = 0x9000


@dataclass(frozen=True, slots=True)
class Probe:
    """One kind of data: how to recognise it, and how to inspect it."""

    kind: str
    # Gets the first bytes, and the source for kinds that these do not tell.
    matches: Callable[[bytes, DataSource], bool]
    inspect: Callable[[DataSource, Inspection, Inspector], None]


@dataclass(frozen=True, slots=True)
class Inspector:
    """Inspects sources, and the sources nested in them up to a depth."""

    # In the order in which they are tried.
    probes: Callable[[], Iterable[Probe]]
    depth: int = 0

    def inspect(self, source: DataSource) -> Inspection | None:
        """Return what a source is and holds; None if no probe matches, or it is nested too deep."""
        if self.depth > _MAX_DEPTH:
            return None
        head = source.read(0, HEAD_SIZE)
        for probe in self.probes():
            if probe.matches(head, source):
                result = Inspection(probe.kind, source.size)
                self.run(probe, source, result)
                return result
        return None

    def run(self, probe: Probe, source: DataSource, result: Inspection) -> None:
        """Run one probe; a mistake in the data becomes the result's problem."""
        try:
            probe.inspect(source, result, replace(self, depth=self.depth + 1))
        except CorruptDataError as error:
            result.problem = str(error)
            result.damaged = not isinstance(error, NotReadableError)
        except DolmenError as error:
            result.problem = error.diagnostics[0].message
        except (struct.error, ValueError, IndexError, OverflowError) as error:
            result.problem = f"it is corrupt: {error}"
            result.damaged = True

    def without_contents(self) -> Inspector:
        """Return an inspector that leaves out everything nested."""
        return replace(self, depth=_MAX_DEPTH)
