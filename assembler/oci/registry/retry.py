"""Trying again: what may pass is waited for, with growing pauses, and not for ever."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from assembler.codes import registries
from assembler.events import LogMessage, NullReporter, Reporter
from assembler.oci.registry.failures import RegistryFailure

if TYPE_CHECKING:
    from collections.abc import Callable

    from assembler.oci.registry.options import RetryPolicy

T = TypeVar("T")
_STALLS = 3


class RunStoppedError(Exception):
    """The run is over because of something that happened in another thread; never leaves a run."""


@dataclass(slots=True)
class Retries:
    """The pauses of one run, which end at once when the run is stopped."""

    retry_policy: RetryPolicy
    reporter: Reporter = field(default_factory=NullReporter)
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise if the run is stopped."""
        if self.stop.is_set():
            raise RunStoppedError

    def with_retries(self, work: Callable[[], T], attempts: int = 0) -> T:
        """Return what `work` returns, tried again while it fails in a way that may pass."""
        attempts = attempts or self.retry_policy.attempts
        tried = 0
        while True:
            self.check()
            try:
                return work()
            except RegistryFailure as error:
                tried += 1
                self.after(error, tried, attempts)

    def after(self, error: RegistryFailure, tried: int, attempts: int = 0) -> None:
        """Pause after the failure of attempt number `tried`, or raise it if that is pointless."""
        asked = error.retry_after or 0.0
        attempts = attempts or self.retry_policy.attempts
        if error.code is registries.STALLED:
            # Each took as long as we are ready to wait.
            attempts = min(attempts, _STALLS)
        if not error.transient or tried >= attempts or asked > self.retry_policy.max_retry_after:
            raise error
        pause = max(asked, self._pause(tried))
        reason = error.diagnostics[0].message
        self.reporter.emit(LogMessage(f"{reason}; trying again in {pause:.1f} s", level=1))
        if self.stop.wait(pause):
            raise RunStoppedError

    def _pause(self, tried: int) -> float:
        longest = min(self.retry_policy.longest, self.retry_policy.first * float(2 ** (tried - 1)))
        # Many that were cut off at once must not come back at once.
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - no secret
