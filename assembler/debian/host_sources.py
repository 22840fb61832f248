"""The sources of Debian packages that a host has: mirrors, and keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.debian.sources import SHIPPED_KEYRING, DebianMirrors, default_keyring
from assembler.errors import PackageError

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.debian.options import DebianOptions

# Sources are for a suite; any suite will do here.
_SUITE = "trixie"


@dataclass(frozen=True, slots=True)
class HostSources:
    """The URLs of the archives, without duplicates, and the keyring that is the default."""

    urls: tuple[str, ...]
    keyring: Path
    # Whether the keys are those in Dolmen.
    shipped: bool


def find_host_sources(options: DebianOptions) -> HostSources:
    """Return the sources of the options, or else those of the host's apt."""
    mirrors = DebianMirrors(specs=options.mirrors, keyring=options.keyring)
    try:
        entries = mirrors.entries(_SUITE, ("main",))
    except PackageError:
        entries = ()
    keyring = options.keyring or default_keyring()
    urls = tuple(dict.fromkeys(entry.uri for entry in entries))
    return HostSources(urls, keyring, shipped=keyring == SHIPPED_KEYRING)
