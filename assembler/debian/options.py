"""The options of callers for Debian archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class DebianOptions:
    """The mirrors, the keyring and the engine for Debian archives."""

    # URLs; by default, the mirrors of this machine's apt.
    mirrors: tuple[str, ...] = ()
    # The keys that sign the archives; by default, the keyring of this machine.
    keyring: Path | None = None
    # auto, apt or python.
    engine: str = "auto"
    # Update the package lists, however recent they are.
    refresh: bool = False
