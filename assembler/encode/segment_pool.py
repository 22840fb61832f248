"""The segments of one assembly: found in the cache or made, and open until the assembly closes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from assembler.codes import output as codes
from assembler.diagnostics import Diagnostic, Severity
from assembler.encode.layer_damage import diagnose_layer_error
from assembler.encode.segment_cache import Segment, SegmentCache
from assembler.encode.segment_checks import SegmentChecks
from assembler.encode.segment_job import JobContext, SegmentJob
from assembler.encode.worker_processes import run_in_workers
from assembler.errors import LayerError, OutputError, PlanError
from assembler.events import LogMessage, Reporter, WarningEmitted, task
from assembler.scratch_directories import scratch_directory

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.oci import LayerLimits, Store


@dataclass(frozen=True, slots=True)
class _Work:
    """The jobs of workers, as data for other processes."""

    jobs: Sequence[SegmentJob]
    sources: JobContext

    def __call__(self, number: int) -> None:
        job = self.jobs[number]
        try:
            job.run(self.sources)
        except (LayerError, PlanError) as error:
            raise diagnose_layer_error(error, job.image, self.sources.store) from error


class SegmentPool:
    """Find and make the segments of an assembly."""

    def __init__(self, store: Store, limits: LayerLimits, workers: int, reporter: Reporter) -> None:
        """Set up the pool; `workers` processes make segments at once."""
        self._store = store
        self._workers = workers
        self._reporter = reporter
        self._cache = SegmentCache(store.layout.segments, self._note_damage)
        # For a read-only store: these segments last as long as the assembly.
        self._scratch: SegmentCache | None = None
        self._sources = JobContext(store, limits)
        self._open: dict[str, Segment] = {}
        self._checks = SegmentChecks()
        # Names of segments that this assembly made, and of damaged ones.
        self._made: set[str] = set()
        self._damaged: set[str] = set()
        self._stack = ExitStack()
        # Names of segments that were reported.
        self._reported: set[str] = set()

    def close(self) -> None:
        """Close all segments."""
        self._checks.stop()
        for segment in self._open.values():
            segment.close()
        self._open.clear()
        self._stack.close()
        self._scratch = None

    def find(self, name: str) -> Segment | None:
        """Return a segment or None; an open one cannot be taken away. Its data are not checked."""
        segment = self._open.get(name)
        if segment is None:
            if self._scratch is not None:
                segment = self._scratch.open(name)
            # A read-only cache keeps its damaged segments.
            if segment is None and (name not in self._damaged or name in self._made):
                segment = self._cache.open(name)
            if segment is not None:
                self._open[name] = segment
        return segment

    def get(self, name: str) -> Segment:
        """Return a segment that exists; raise an error if it was removed."""
        segment = self.find(name)
        if segment is None:
            raise OutputError.of(
                codes.WORKER_DIED,
                f"a segment that was just made in {self._cache.directory} is gone",
                "another program removes files there; build again",
            )
        return segment

    def check_ahead(self, names: Iterable[str]) -> None:
        """Start checking the data of the segments that exist, in this order."""
        found = [self.find(name) for name in names if name not in self._made]
        self._checks.start(segment for segment in found if segment is not None)

    def get_checked(self, job: SegmentJob) -> Segment:
        """Return the segment of a job, whose data are right; a damaged one is made again."""
        (name,) = job.segment_names
        segment = self.get(name)
        if name in self._made or self._checks.is_intact(segment):
            return segment
        self._open.pop(name).close()
        self._cache.discard(name)
        self.build([job])
        return self.get(name)

    def _note_damage(self, name: str) -> None:
        if name in self._damaged:
            return
        self._damaged.add(name)
        self._reporter.emit(
            WarningEmitted(
                Diagnostic(
                    codes.DAMAGED_SEGMENT,
                    f"{self._cache.path(name)} was damaged, and is made again",
                    hints=("check the disk, unless the power has failed",),
                    severity=Severity.WARNING,
                )
            )
        )

    def ensure(self, jobs: Sequence[SegmentJob]) -> None:
        """Make the missing segments, and report each part once as made or kept."""
        missing = [
            job for job in jobs if any(self.find(name) is None for name in job.segment_names)
        ]
        self._report(jobs, missing)
        if missing:
            self.build(missing)

    def build(self, jobs: list[SegmentJob]) -> None:
        """Make segments, largest images first."""
        SegmentChecks.wait_for_all()
        self._ensure_writable()
        self._cache.sweep()
        jobs.sort(key=lambda job: (-job.image.layer_bytes, job.segment_names))
        total = sum(job.image.layer_bytes for job in jobs)
        with task(self._reporter, "laying out images", total) as progress:

            def done(number: int) -> None:
                progress.advance(jobs[number].image.layer_bytes)

            run_in_workers(len(jobs), _Work(jobs, self._sources), self._workers, done)
        self._made.update(name for job in jobs for name in job.segment_names)

    def _report(self, jobs: Sequence[SegmentJob], missing: Sequence[SegmentJob]) -> None:
        fresh = [job for job in jobs if job.segment_names[0] not in self._reported]
        self._reported.update(job.segment_names[0] for job in fresh)
        missing_count = sum(job in missing for job in fresh)
        if fresh:
            cached_count = len(fresh) - missing_count
            message = (
                f"{cached_count} of {len(fresh)} parts are in the cache, {missing_count} to make"
            )
            self._reporter.emit(LogMessage(message, 1))
        for job in fresh:
            status = "made" if job in missing else "kept"
            self._reporter.emit(
                LogMessage(f"{status}: {job.title}, segment {job.segment_names[0][:12]}", 2)
            )

    def _ensure_writable(self) -> None:
        """Use a temporary cache if the store's cache is read-only."""
        if self._scratch is not None or self._cache.writable:
            return
        message = LogMessage(f"{self._cache.directory} cannot be written to: nothing is kept")
        self._reporter.emit(message)
        directory = self._stack.enter_context(scratch_directory())
        self._scratch = SegmentCache(directory)
        self._sources = replace(self._sources, segments=directory)
