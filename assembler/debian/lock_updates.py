"""Resolve new package locks, merge them with the old ones, and list the differences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from assembler.debian.engine_protocol import debian_architecture
from assembler.debian.lock import PackageLock, read_package_lock
from assembler.debian.recipe_build import recipe_request, resolution_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from assembler.config import DebsRecipe
    from assembler.debian.engine_protocol import ArchiveEngine
    from assembler.oci import Platform


def resolve_lock(
    debs: DebsRecipe, platforms: tuple[Platform, ...], engine: ArchiveEngine
) -> PackageLock:
    """Resolve the newest packages for each platform."""
    requests = [recipe_request(debs, debian_architecture(p)) for p in platforms]
    requests = [r for r in requests if r.packages or not debs.files]
    pinned = {r.architecture: engine.resolve(r) for r in requests}
    snapshots = dict.fromkeys(s for r in requests for s in engine.snapshots(r))
    return PackageLock(
        suite=debs.suite,
        requests={r.architecture: resolution_inputs(r) for r in requests},
        packages=pinned,
        archives=tuple(sorted(snapshots)),
    )


def keep_other_architectures(directory: Path, debs: DebsRecipe, new: PackageLock) -> PackageLock:
    """Return the new lock, with the old packages of architectures that it does not have.

    If it gives the same images as the old lock, the old lock is returned.
    """
    old = read_package_lock(directory)
    if old is None or old.suite != new.suite:
        return new
    kept = {
        architecture: request
        for architecture, request in old.requests.items()
        if architecture not in new.requests
        and request == resolution_inputs(recipe_request(debs, architecture))
        and architecture in old.packages
    }
    merged = replace(
        new,
        requests={**kept, **new.requests},
        packages={**{a: old.packages[a] for a in kept}, **new.packages},
    )
    if merged.same_packages(old):
        return old
    if kept:
        merged = replace(merged, archives=tuple(sorted({*old.archives, *new.archives})))
    return merged


def lock_differences(old_lock: PackageLock | None, new_lock: PackageLock) -> Iterator[str]:
    """Yield the differences, one line for each package."""
    if old_lock is None:
        yield "there is no lock"
        return
    if old_lock.suite != new_lock.suite:
        yield f"the lock is for the suite {old_lock.suite}, the recipe for {new_lock.suite}"
        return
    for architecture in sorted({*old_lock.requests, *new_lock.requests}):
        request = old_lock.requests.get(architecture)
        if request != new_lock.requests.get(architecture):
            difference = "has no packages" if request is None else "is for another recipe"
            yield f"{architecture}: the lock {difference}"
            continue
        old = {c.name: c for c in old_lock.packages.get(architecture, ())}
        new = {c.name: c for c in new_lock.packages.get(architecture, ())}
        for name in sorted({*old, *new}):
            if old.get(name) != new.get(name):
                versions = [(c[name].version if name in c else "none") for c in (old, new)]
                yield f"{architecture}: {name} {' -> '.join(dict.fromkeys(versions))}"
