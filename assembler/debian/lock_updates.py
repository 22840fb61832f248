"""Renewed locks: what stays of the old one, and what differs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.debian.engine import debian_architecture
from assembler.debian.lock import PackageLock, read_package_lock
from assembler.debian.recipe_build import recipe_request, resolution_inputs

if TYPE_CHECKING:
    from pathlib import Path

    from assembler.config import DebsRecipe
    from assembler.debian.engine import ArchiveEngine
    from assembler.oci import Platform


def resolve_lock(
    debs: DebsRecipe, platforms: tuple[Platform, ...], engine: ArchiveEngine
) -> PackageLock:
    """Choose the newest packages for each platform."""
    requests = [recipe_request(debs, debian_architecture(p)) for p in platforms]
    asking = [r for r in requests if r.packages or not debs.files]
    chosen = {r.architecture: engine.resolve(r) for r in asking}
    snapshots = dict.fromkeys(s for r in asking for s in engine.snapshots(r))
    return PackageLock(
        suite=debs.suite,
        wanted={r.architecture: resolution_inputs(r) for r in asking},
        chosen=chosen,
        archives=tuple(sorted(snapshots)),
    )


def merge_lock(directory: Path, debs: DebsRecipe, now: PackageLock) -> PackageLock:
    """Return the lock that a package should have: of other architectures the old one is kept.

    If it makes the same images as the one that is there, it is that one, byte by byte.
    """
    before = read_package_lock(directory)
    if before is None or before.suite != now.suite:
        return now
    kept = {
        architecture: wanted
        for architecture, wanted in before.wanted.items()
        if architecture not in now.wanted
        and wanted == resolution_inputs(recipe_request(debs, architecture))
        and architecture in before.chosen
    }
    whole = replace(
        now,
        wanted={**kept, **now.wanted},
        chosen={**{a: before.chosen[a] for a in kept}, **now.chosen},
    )
    if whole.same_packages(before):
        return before
    if kept:
        whole = replace(whole, archives=tuple(sorted({*before.archives, *now.archives})))
    return whole


def lock_differences(before: PackageLock | None, now: PackageLock) -> Iterator[str]:
    """Yield what is otherwise, a line for each package."""
    if before is None:
        yield "there is no lock"
        return
    if before.suite != now.suite:
        yield f"it is of the suite {before.suite}, the recipe of {now.suite}"
        return
    for architecture in sorted({*before.wanted, *now.wanted}):
        wanted = before.wanted.get(architecture)
        if wanted != now.wanted.get(architecture):
            said = "has nothing" if wanted is None else "is of another recipe"
            yield f"{architecture}: the lock {said}"
            continue
        old = {c.name: c for c in before.chosen.get(architecture, ())}
        new = {c.name: c for c in now.chosen.get(architecture, ())}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                versions = [(c[name].version if name in c else "none") for c in (old, new)]
                yield f"{architecture}: {name} {' -> '.join(dict.fromkeys(versions))}"
