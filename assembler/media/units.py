"""Which units (clusters, blocks) of a disk hold something: what disk containers keep.

Found by where things lie, without reading them. Units follow each other in a container in the order
they have on the disk, so each run of units stays in one piece there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from assembler.media.sparse_image import Placed, SparseImage, any_set


@dataclass(frozen=True, slots=True)
class Run:
    """Units that follow each other."""

    first: int
    count: int
    # How many units with something in them come before.
    index: int

    @property
    def end(self) -> int:
        """Return the number of the first unit behind."""
        return self.first + self.count


def filled(medium: SparseImage) -> Iterator[Placed]:
    """Yield what a medium has, without zeros that are written out."""
    for thing in medium.placed():
        if thing.content and (not isinstance(thing.content, bytes) or any_set(thing.content)):
            yield thing


def runs_of(medium: SparseImage, unit: int) -> tuple[Run, ...]:
    """Return all runs of units that something lies in."""
    runs: list[Run] = []
    first = end = index = 0
    for thing in filled(medium):
        begin, behind = thing.offset // unit, -(-thing.end // unit)
        if begin > end:
            if end > first:
                runs.append(Run(first, end - first, index))
                index += end - first
            first = begin
        end = max(end, behind)
    if end > first:
        runs.append(Run(first, end - first, index))
    return tuple(runs)


def count_of(runs: tuple[Run, ...]) -> int:
    """Return how many units the runs have together."""
    return runs[-1].index + runs[-1].count if runs else 0


def located(medium: SparseImage, runs: tuple[Run, ...], unit: int) -> Iterator[tuple[Placed, Run]]:
    """Yield what a medium has, each with the run it lies in."""
    number = 0
    for thing in filled(medium):
        while thing.offset >= runs[number].end * unit:
            number += 1
        yield thing, runs[number]


def moved(medium: SparseImage, runs: tuple[Run, ...], unit: int) -> Iterator[Placed]:
    """Yield what a medium has at the place it gets where only its filled units are kept."""
    for thing, run in located(medium, runs, unit):
        yield Placed(thing.offset + (run.index - run.first) * unit, thing.content)
