"""Runs of units (clusters, blocks) of a disk that hold content: what disk containers store.

The extents tell them; no content is read. A container stores units in the order of the disk, so
each run stays in one piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.media.sparse_image import Extent, SparseImage, has_nonzero

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class UnitRun:
    """Units that follow each other on the disk."""

    first: int
    count: int
    # The number of units with content before the run.
    index: int

    @property
    def end(self) -> int:
        """Return the number of the first unit behind the run."""
        return self.first + self.count


def nonzero_extents(image: SparseImage) -> Iterator[Extent]:
    """Yield the extents of an image that are not all zero."""
    for thing in image.extents():
        if thing.content and (not isinstance(thing.content, bytes) or has_nonzero(thing.content)):
            yield thing


def unit_runs(image: SparseImage, unit: int) -> tuple[UnitRun, ...]:
    """Return all runs of units that hold content."""
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
    """Return the number of units in all runs."""
    return runs[-1].index + runs[-1].count if runs else 0


def extents_with_runs(
    image: SparseImage, runs: tuple[UnitRun, ...], unit: int
) -> Iterator[tuple[Extent, UnitRun]]:
    """Yield each extent of an image with its run."""
    number = 0
    for thing in nonzero_extents(image):
        while thing.offset >= runs[number].end * unit:
            number += 1
        yield thing, runs[number]


def compacted_extents(image: SparseImage, runs: tuple[UnitRun, ...], unit: int) -> Iterator[Extent]:
    """Yield the extents of an image at their place among the stored units."""
    for thing, run in extents_with_runs(image, runs, unit):
        yield Extent(thing.offset + (run.index - run.first) * unit, thing.content)
