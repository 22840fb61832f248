"""Hosts that cannot be reached: each is tried once, not again for every image."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assembler.oci.registry.failures import RegistryFailure

# Later runs of one process, such as those for each package, try again after this time.
_SECONDS = 60.0


@dataclass(slots=True)
class UnreachableHosts:
    """The hosts that could not be reached a short time ago, each with its first failure."""

    seconds: float = _SECONDS
    _failures: dict[str, tuple[float, RegistryFailure]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def failure(self, host: str) -> RegistryFailure | None:
        """Return the failure of a host that is not to be tried again now."""
        with self._lock:
            when, failure = self._failures.get(host, (0.0, None))
        if failure is None or time.monotonic() - when > self.seconds:
            return None
        return failure.with_hints()

    def add(self, failure: RegistryFailure) -> RegistryFailure:
        """Record a failure; return that of its host, so that all images have the same one."""
        host = failure.unreachable_host
        if not host:
            return failure
        known = self.failure(host)
        if known is not None:
            return known
        # All retries are over.
        failure.transient = False
        with self._lock:
            self._failures[host] = time.monotonic(), failure
        return failure
