"""Retries after transient failures, with growing pauses and a limit."""

from __future__ import annotations

import random
import threading
import time
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
_RESOLUTIONS = 2
_SLOW_RESOLVER = 2.0


class RunStoppedError(Exception):
    """The run was stopped by another thread; never leaves a run."""


@dataclass(slots=True)
class Retries:
    """The retries of one run, whose pauses end when the run is stopped."""

    retry_policy: RetryPolicy
    reporter: Reporter = field(default_factory=NullReporter)
    stop: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        """Raise if the run is stopped."""
        if self.stop.is_set():
            raise RunStoppedError

    def with_retries(self, work: Callable[[], T], attempts: int = 0) -> T:
        """Return the result of `work`, retried after transient failures."""
        attempts = attempts or self.retry_policy.attempts
        tried = 0
        while True:
            self.check()
            began = time.monotonic()
            try:
                return work()
            except RegistryFailure as error:
                tried += 1
                if error.code is registries.UNKNOWN_HOST:
                    # The resolver has tried several times itself.
                    is_slow = time.monotonic() - began > _SLOW_RESOLVER
                    attempts = 1 if is_slow else min(attempts, _RESOLUTIONS)
                self.after(error, tried, attempts)

    def after(self, error: RegistryFailure, tried: int, attempts: int = 0) -> None:
        """Pause after the failure of attempt number `tried`, or raise it."""
        asked = error.retry_after or 0.0
        attempts = attempts or self.retry_policy.attempts
        if error.code is registries.STALLED:
            # Each of them took the whole timeout.
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
        # Spread the retries of clients that failed at the same time.
        return longest * (0.5 + random.random() / 2)  # noqa: S311 - no secret
