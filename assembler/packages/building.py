"""Building a package for its platforms: what is there is not made again, the rest is."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from assembler.codes import packages
from assembler.errors import PackageError
from assembler.events import Said, task
from assembler.oci import media
from assembler.oci.image import Image
from assembler.oci.platform import Platform
from assembler.oci.reference import Reference
from assembler.oci.store import lookup
from assembler.oci.store.locks import held
from assembler.packages.debs.lock import read_lock
from assembler.packages.debs.recipe import Order, make
from assembler.packages.images import publish
from assembler.packages.model import DEFAULT_GITREPO
from assembler.packages.tags import is_lasting

if TYPE_CHECKING:
    from assembler.events import Reporter
    from assembler.oci.store import Store
    from assembler.packages.debs.engine import Engine
    from assembler.packages.model import Package
    from assembler.packages.tags import PackageName

_SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True, slots=True)
class Job:
    """A package to be built, under which name, and for what."""

    package: Package
    name: PackageName
    platforms: tuple[Platform, ...]
    # Build it even if it is there.
    force: bool = False


@dataclass(frozen=True, slots=True)
class Built:
    """The image of a package: its name, and for which platforms it was made or was there."""

    name: str
    made: tuple[Platform, ...] = ()
    present: tuple[Platform, ...] = ()


def platforms_of(
    package: Package, only: tuple[Platform, ...] = (), without: tuple[Platform, ...] = ()
) -> tuple[Platform, ...]:
    """Return the platforms to build for: those of build.yml, as far as they are asked for."""
    offered = [Platform.parse(arch) for arch in package.build.arches]
    missing = [p for p in only if p not in offered]
    if missing:
        raise PackageError.of(
            packages.NO_PLATFORM,
            f"{package.build.image} is not made for {', '.join(map(str, missing))}",
            f"arches in its build.yml has: {', '.join(package.build.arches)}",
            place=package.build.at.of("arches"),
        )
    return tuple(p for p in dict.fromkeys(only or offered) if p not in without)


def build(store: Store, job: Job, engine: Engine, reporter: Reporter) -> Built:
    """Build what is missing; of two builds of one package at once, one waits for the other."""
    debs = job.package.build.debs
    reference = job.name.reference()
    if debs is None:
        raise PackageError.of(
            packages.NO_BUILDER,
            f"{job.package.directory} has no recipe, and Dockerfiles cannot be built yet",
            "make the image of Debian packages with `debs:` in build.yml, or build it with "
            "another tool and import it with `dolmen cache import`",
        )
    with store.in_use(), _alone(store, reference):
        present = tuple(p for p in job.platforms if _is_there(store, job, reference, p))
        missing = [p for p in job.platforms if p not in present]
        if not missing:
            reporter.emit(Said(f"{job.name} is there"))
            return Built(str(job.name), present=present)
        lock = read_lock(job.package.directory)
        labels = _labels(job.package)
        made = []
        for platform in missing:
            with task(reporter, f"build {job.name} for {platform}") as progress:
                order = Order(debs, job.package.directory, platform, str(reference), labels, lock)
                made.append(make(store, order, engine, reporter))
                progress.outcome = "built"
        publish(store, _names(job.name), made)
    return Built(str(job.name), tuple(missing), present)


def _is_there(store: Store, job: Job, reference: Reference, platform: Platform) -> bool:
    if job.force or not is_lasting(job.name):
        return False
    found = lookup(store, reference, platform)
    return isinstance(found, Image) and found.config.platform == platform


def _alone(store: Store, reference: Reference) -> AbstractContextManager[None]:
    store.layout.prepare()
    digest = hashlib.sha256(str(reference).encode()).hexdigest()[:32]
    return held(store.layout.locks / f"package-{digest}")


def _names(name: PackageName) -> list[str]:
    """Return the names to put the image under: `@pkg:` looks for the plain hash."""
    names = [str(name.reference())]
    if is_lasting(name) and name.hash != name.tag:
        plain = Reference.parse(f"{name.org}/{name.image}:{name.hash}")
        names.append(str(plain))
    return names


def _labels(package: Package) -> dict[str, str]:
    labels = {}
    if package.build.label is not None:
        labels[media.CONFIG_LABEL] = json.dumps(package.build.label, sort_keys=True)
    if package.build.gitrepo != DEFAULT_GITREPO:
        labels[_SOURCE] = package.build.gitrepo
    return labels
