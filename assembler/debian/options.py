"""Where the Debian packages of recipes come from, and what chooses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.debian.engine import ArchiveEngine
    from assembler.events import Reporter
    from assembler.oci import Store


@dataclass(frozen=True, slots=True)
class DebianOptions:
    """What a caller can say about Debian archives."""

    # URLs; without any, the mirrors of this machine's apt.
    mirrors: tuple[str, ...] = ()
    # The keys that sign the archives; by default, this machine's.
    keyring: Path | None = None
    # auto, apt or python.
    engine: str = "auto"
    # Fetch the indexes again, however recent they are.
    refresh: bool = False


def open_archive_engine(store: Store, options: DebianOptions, reporter: Reporter) -> ArchiveEngine:
    """Return what chooses and fetches Debian packages, which it keeps in the store."""
    from assembler.debian.engine import INDEX_MAX_AGE  # noqa: PLC0415 - not every build has recipes
    from assembler.debian.engine_context import EngineContext  # noqa: PLC0415
    from assembler.debian.engines import select_engine  # noqa: PLC0415
    from assembler.debian.pool import PackagePool  # noqa: PLC0415
    from assembler.debian.sources import DebianMirrors  # noqa: PLC0415

    store.layout.prepare()
    supply = EngineContext(
        PackagePool(store.root.absolute() / "debs"),
        DebianMirrors(given=options.mirrors, keyring=options.keyring),
        0 if options.refresh else INDEX_MAX_AGE,
        reporter,
    )
    return select_engine(options.engine, supply)
