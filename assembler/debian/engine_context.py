"""The mirrors, the package pool and the settings that archive engines share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.debian.engine_protocol import INDEX_MAX_AGE
from assembler.debian.sources import DebianMirrors
from assembler.events import NullReporter

if TYPE_CHECKING:
    from assembler.debian.engine_protocol import PackageRequest
    from assembler.debian.pool import PackagePool
    from assembler.debian.sources import AptSource
    from assembler.events import Reporter


@dataclass(frozen=True, slots=True)
class EngineContext:
    """The mirrors of a run, and the pool for their packages."""

    # An engine keeps its own state below `pool.root`.
    pool: PackagePool
    mirrors: DebianMirrors = field(default_factory=DebianMirrors)
    # Package lists are updated when they are older than this, in seconds; 0: always.
    max_index_age: float = INDEX_MAX_AGE
    reporter: Reporter = field(default_factory=NullReporter)
    # Only archives in directories of this machine are read, besides the pool and kept indexes.
    offline: bool = False

    def archives(self, suite: str, components: tuple[str, ...]) -> tuple[AptSource, ...]:
        """Return the archives of a suite that may be read now."""
        entries = self.mirrors.entries(suite, components)
        return tuple(e for e in entries if e.is_local or not self.offline)

    def may_update(self, request: PackageRequest) -> bool:
        """Tell whether the indexes for a request may be updated."""
        entries = self.mirrors.entries(request.suite, request.components)
        return not self.offline or all(entry.is_local for entry in entries)
