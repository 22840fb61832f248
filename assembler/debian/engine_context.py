"""The mirrors, the package pool and the settings that archive engines share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.debian.engine_protocol import INDEX_MAX_AGE
from assembler.debian.sources import DebianMirrors
from assembler.events import NullReporter

if TYPE_CHECKING:
    from assembler.debian.pool import PackagePool
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
