"""Where an engine has Debian packages from, and where it keeps what it fetched and knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from assembler.debian.engine import INDEX_MAX_AGE
from assembler.debian.sources import DebianMirrors
from assembler.events import NullReporter

if TYPE_CHECKING:
    from assembler.debian.pool import PackagePool
    from assembler.events import Reporter


@dataclass(frozen=True, slots=True)
class EngineContext:
    """The archives of a run, and the pool that their packages go to."""

    # An engine keeps its own state below `pool.root`.
    pool: PackagePool
    mirrors: DebianMirrors = field(default_factory=DebianMirrors)
    # Lists that are younger than this are not asked for again; 0 asks always.
    fresh_for: float = INDEX_MAX_AGE
    reporter: Reporter = field(default_factory=NullReporter)
