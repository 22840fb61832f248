"""The segments of one assembly: found in the cache or made, and open until it is done with."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.encode.damage import examined
from assembler.encode.jobs import Job, Sources
from assembler.encode.segments import Segment, SegmentCache
from assembler.encode.workers import run_all
from assembler.errors import LayerError, OutputError
from assembler.events import LogMessage, Reporter, task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from assembler.oci import LayerLimits, Store


class SegmentPool:
    """Where an assembly has its segments from."""

    def __init__(self, store: Store, limits: LayerLimits, workers: int, reporter: Reporter) -> None:
        """Look for nothing yet; `workers` is how many processes make segments at once."""
        self._store = store
        self._workers = workers
        self._reporter = reporter
        self._cache = SegmentCache(store.layout.segments)
        # For a store that may not be written to: what is made lasts as long as the assembly.
        self._scratch: SegmentCache | None = None
        self._sources = Sources(store, limits)
        self._open: dict[str, Segment] = {}
        self._stack = ExitStack()
        # Segments that something was said of.
        self._told: set[str] = set()

    def close(self) -> None:
        """Let go of all files."""
        for segment in self._open.values():
            segment.close()
        self._open.clear()
        self._stack.close()
        self._scratch = None

    def find(self, name: str) -> Segment | None:
        """Return a segment if it is there; it stays open, so that it cannot be taken away."""
        segment = self._open.get(name)
        if segment is None:
            segment = self._cache.open(name)
            if segment is None and self._scratch is not None:
                segment = self._scratch.open(name)
            if segment is not None:
                self._open[name] = segment
        return segment

    def take(self, name: str) -> Segment:
        """Return a segment that was found or made before."""
        segment = self.find(name)
        if segment is None:
            raise OutputError.of(
                codes.WORKER_DIED,
                f"what was just made in {self._cache.directory} is gone",
                "something else removes files there; build again",
            )
        return segment

    def fill(self, wanted: Sequence[Job]) -> None:
        """Make what is wanted and not there, and say of each part, once, whether it was made."""
        lacking = [job for job in wanted if any(self.find(name) is None for name in job.names)]
        self._say(wanted, lacking)
        if lacking:
            self.make(lacking)

    def make(self, jobs: list[Job]) -> None:
        """Make segments, those of the largest images first."""
        self._find_room()
        self._cache.sweep()
        jobs.sort(key=lambda job: (-job.image.layer_bytes, job.names))
        total = sum(job.image.layer_bytes for job in jobs)
        with task(self._reporter, "laying out images", total) as progress:

            def work(number: int) -> None:
                try:
                    jobs[number].run(self._sources)
                except LayerError as error:
                    raise examined(error, jobs[number].image, self._store) from error

            def done(number: int) -> None:
                progress.advance(jobs[number].image.layer_bytes)

            run_all(len(jobs), work, self._workers, done)

    def _say(self, wanted: Sequence[Job], lacking: Sequence[Job]) -> None:
        fresh = [job for job in wanted if job.names[0] not in self._told]
        self._told.update(job.names[0] for job in fresh)
        made = sum(job in lacking for job in fresh)
        if fresh:
            kept = len(fresh) - made
            message = f"{kept} of {len(fresh)} parts are kept from earlier, {made} to be made"
            self._reporter.emit(LogMessage(message, 1))
        for job in fresh:
            how = "made" if job in lacking else "kept"
            self._reporter.emit(LogMessage(f"{how}: {job.title}, segment {job.names[0][:12]}", 2))

    def _find_room(self) -> None:
        """Make sure that segments can be written somewhere."""
        if self._scratch is not None or self._cache.writable:
            return
        said = LogMessage(f"{self._cache.directory} cannot be written to: nothing is kept")
        self._reporter.emit(said)
        import tempfile  # noqa: PLC0415 - slow to load, and seldom needed

        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="dolmen-"))
        self._scratch = SegmentCache(Path(directory))
        self._sources = replace(self._sources, segments=Path(directory))
