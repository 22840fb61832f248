"""Packages beside a YAML file: built on the spot if nobody has their images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from assembler.oci.store import Absent, lookup

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.build.request import Supply
    from assembler.events import Reporter
    from assembler.oci.platform import Platform
    from assembler.oci.reference import Reference
    from assembler.oci.store import Store


def build_missing(
    supply: Supply,
    store: Store,
    packages: Mapping[Reference, Path],
    platform: Platform,
    reporter: Reporter,
    hashed: str | None = None,
) -> None:
    """Have those packages built (or brought from a registry) that the store lacks.

    Their names have the hash that is given, or that of git.
    """
    if supply.build_packages is None or not packages:
        return
    names = store.names()
    missing = [
        directory
        for reference, directory in packages.items()
        if isinstance(lookup(store, reference, platform, names=names), Absent)
    ]
    if missing:
        supply.build_packages(missing, platform, reporter, hashed)
