"""Comparing the data of segments with their checksums, in a thread while others are copied.

A checksum is computed several times as fast as the data are copied, so a build waits for the first
segment only.
"""

from __future__ import annotations

import threading
from typing import IO, TYPE_CHECKING, ClassVar
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from assembler.encode.segment_cache import Segment


class SegmentChecks:
    """The checks of one assembly: each open segment is checked once."""

    # All that have threads: an assembly that makes segments may not be the only one.
    _all: ClassVar[WeakSet[SegmentChecks]] = WeakSet()

    def __init__(self) -> None:
        """Start without checks."""
        self._checks: dict[IO[bytes], _Check] = {}
        self._threads: list[threading.Thread] = []
        self._stopped = threading.Event()

    def start(self, segments: Iterable[Segment]) -> None:
        """Start checking segments in this order."""
        checks = [_Check(s) for s in segments if s.file not in self._checks]
        self._checks |= {check.segment.file: check for check in checks}
        if checks:
            thread = threading.Thread(target=self._run, args=(checks,), daemon=True)
            self._threads.append(thread)
            self._all.add(self)
            thread.start()

    def is_intact(self, segment: Segment) -> bool:
        """Return the result of a check; wait for it, or do it now."""
        check = self._checks.get(segment.file)
        if check is None:
            check = self._checks[segment.file] = _Check(segment)
            self._run([check])
        check.done.wait()
        return check.intact

    @classmethod
    def wait_for_all(cls) -> None:
        """Wait until no thread checks segments: a process with threads does not fork."""
        for checks in tuple(cls._all):
            checks.wait()

    def wait(self) -> None:
        """Wait until no thread of these checks runs."""
        for thread in tuple(self._threads):
            thread.join()
        self._threads.clear()
        self._all.discard(self)

    def stop(self) -> None:
        """Give up all checks; then the segments can be closed."""
        self._stopped.set()
        self.wait()
        self._checks.clear()
        self._stopped.clear()

    def _run(self, checks: Sequence[_Check]) -> None:
        try:
            for check in checks:
                check.intact = check.segment.has_intact_data(self._stopped.is_set)
                check.done.set()
        finally:
            for check in checks:
                check.done.set()


class _Check:
    """The check of one segment."""

    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.done = threading.Event()
        self.intact = False
