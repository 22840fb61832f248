"""Which units (clusters, blocks) of a disk hold something: what disk containers keep.

Found by where things lie, without reading them. Units follow each other in a container in the order
they have on the disk, so each run of units stays in one piece there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assembler.media.sparse_image import Extent, SparseImage, has_nonzero


@dataclass(frozen=True, slots=True)
class UnitRun:
    """Units that follow each other."""

    first: int
    count: int
    # How many units with something in them come before.
    index: int

    @property
    def end(self) -> int:
        """Return the number of the first unit behind."""
        return self.first + self.count


def nonzero_extents(image: SparseImage) -> Iterator[Extent]:
    """Yield what a medium has, without zeros that are written out."""
    for thing in image.extents():
        if thing.content and (not isinstance(thing.content, bytes) or has_nonzero(thing.content)):
            yield thing


def unit_runs(image: SparseImage, unit: int) -> tuple[UnitRun, ...]:
    """Return all runs of units that something lies in."""
    runs: list[UnitRun] = []
    first = end = index = 0
    for thing in nonzero_extents(image):
        begin, behind = thing.offset // unit, -(-thing.end // unit)
        if begin > end:
            if end > first:
                runs.append(UnitRun(first, end - first, index))
                index += end - first
            first = begin
        end = max(end, behind)
    if end > first:
        runs.append(UnitRun(first, end - first, index))
    return tuple(runs)


def unit_count(runs: tuple[UnitRun, ...]) -> int:
    """Return how many units the runs have together."""
    return runs[-1].index + runs[-1].count if runs else 0


def extents_with_runs(
    image: SparseImage, runs: tuple[UnitRun, ...], unit: int
) -> Iterator[tuple[Extent, UnitRun]]:
    """Yield what a medium has, each with the run it lies in."""
    number = 0
    for thing in nonzero_extents(image):
        while thing.offset >= runs[number].end * unit:
            number += 1
        yield thing, runs[number]


def compacted_extents(image: SparseImage, runs: tuple[UnitRun, ...], unit: int) -> Iterator[Extent]:
    """Yield what a medium has at the place it gets where only its filled units are kept."""
    for thing, run in extents_with_runs(image, runs, unit):
        yield Extent(thing.offset + (run.index - run.first) * unit, thing.content)
