"""Packages beside a YAML file: built before the image if their images are missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.oci import MissingImage, look_up_image

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from assembler.build.options import BuildOptions
    from assembler.events import Reporter
    from assembler.oci import Platform, Reference


def build_missing(
    options: BuildOptions,
    packages: Mapping[Reference, Path],
    platform: Platform,
    reporter: Reporter,
    tree_hash: str | None = None,
) -> None:
    """Build the packages that the store lacks, or fetch them from a registry.

    Their names have the hash that is given, or that of git.
    """
    if not options.build_missing or not packages:
        return
    store = options.sources.open_store()
    names = store.names()
    missing = [
        directory
        for reference, directory in packages.items()
        if isinstance(look_up_image(store, reference, platform, names=names), MissingImage)
    ]
    if not missing:
        return
    from assembler.packages import (  # noqa: PLC0415 - few systems need it
        Naming,
        PackageBuildOptions,
        build_packages,
        read_packages,
    )

    base = options.packages() if callable(options.packages) else options.packages
    base = base if base is not None else PackageBuildOptions()
    # No registry keeps a name for the recipes that Dolmen brings.
    fetch = not options.sources.offline and tree_hash is None
    package_options = replace(
        base,
        sources=replace(options.sources, pull=False, docker=False),
        naming=Naming(hash=tree_hash),
        platforms=(platform,),
        fetch=fetch,
    )
    found = read_packages(missing)
    build_packages(found, package_options, reporter).check()
